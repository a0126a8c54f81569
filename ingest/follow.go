package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics"
)

// parentPlace is a partition of a parent's raw topic.
type parentPlace struct {
	topic     string
	partition int32
}

// follow reads the parents' raw topics for the feeds of a partition of the state topic until ctx ends, or brokers
// answer with what no other attempt helps against.
func (in *Ingest) follow(ctx context.Context, log *changelog.Changelog, feeds []*feed) error {
	at := map[parentPlace][]*feed{}
	for _, f := range feeds {
		p := parentPlace{f.topic, f.partition}
		at[p] = append(at[p], f)
	}
	for p, list := range at { // the one that is furthest behind says where; the others pass over what they have
		from := slices.MinFunc(list, func(a, b *feed) int { return int(a.at.Next - b.at.Next) }).at.Next
		log.Consume(p.topic, p.partition, from)
	}
	for ctx.Err() == nil {
		fetches := log.Poll(ctx)
		var failed error
		fetches.EachError(func(topic string, partition int32, err error) {
			if ctx.Err() == nil && failed == nil {
				failed = in.passDeleted(ctx, log, parentPlace{topic, partition}, err)
			}
		})
		if failed != nil {
			return failed
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, f := range at[parentPlace{p.Topic, p.Partition}] {
				if failed == nil && len(p.Records) > 0 {
					failed = f.takeIn(ctx, p.Records)
				}
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// passDeleted goes on at the beginning of a partition if err says that the records to be read next were deleted from
// it. Its error is err, if it says anything else.
func (in *Ingest) passDeleted(ctx context.Context, log *changelog.Changelog, p parentPlace, err error) error {
	if !errors.Is(err, kerr.OffsetOutOfRange) {
		return fmt.Errorf("read %s[%d]: %w", p.topic, p.partition, err)
	}
	start, err := in.start(ctx, p.topic, p.partition)
	if err != nil {
		return err
	}
	in.env.Log.Warn("records of a parent stream were deleted from its raw topic before its children were made from them",
		"topic", p.topic, "partition", p.partition, "next", start)
	log.Consume(p.topic, p.partition, start)
	return nil
}

// start is the offset at which a partition begins.
func (in *Ingest) start(ctx context.Context, topic string, partition int32) (int64, error) {
	listed, err := in.adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("start of %s: %w", topic, err)
	}
	o, ok := listed.Lookup(topic, partition)
	if !ok {
		return 0, fmt.Errorf("start of %s[%d]: %w", topic, partition, kerr.UnknownTopicOrPartition)
	}
	return o.Offset, o.Err
}

const settlesEvery = 200 * time.Millisecond

// settle notes that the feed has ended a pass, for [Ingest.PassesDone]: its parent's slices in this process have ended
// one, all that they wrote was read, and nothing of it is to be fetched, but for what the API has refused. It returns
// then.
func (f *feed) settle(ctx context.Context) {
	for stage.Sleep(ctx, settlesEvery) == nil {
		if !f.in.streamEnded(f.stream.Ingest.ForEach.Parent) {
			continue
		}
		ends, err := f.in.adm.ListEndOffsets(ctx, f.topic)
		if err != nil {
			continue // whoever reads it tells of the brokers
		}
		end, ok := ends.Lookup(f.topic, f.partition)
		if ok && end.Err == nil && f.rests(end) {
			f.in.passEnded(cursor.Key(f.stream.Name, cursor.FeedKey(f.stream.Name, f.partition)))
			return
		}
	}
}

// rests reports whether all up to end was read, and all that is due was fetched.
func (f *feed) rests(end kadm.ListedOffset) bool {
	if f.read.Load() < end.Offset || f.pending.Load() > 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.active > 0 || len(f.gone) > 0 {
		return false
	}
	now := time.Now()
	for _, c := range f.due {
		if c.failures > 0 && c.refused {
			continue
		}
		if c.dirty() || c.failures > 0 || !c.due.After(now) {
			return false
		}
	}
	return true
}

// reap removes the children whose records were deleted, and with them what they had written if on_parent_delete says
// so.
func (f *feed) reap(ctx context.Context) {
	who := f.String()
	defer f.in.waits.Drop(who)
	wait := stage.NewBackoff()
	for {
		select {
		case <-f.reaping:
		case <-ctx.Done():
			return
		}
		for l := f.dead(); len(l.removed) > 0 && ctx.Err() == nil; l = f.dead() {
			if f.stream.Ingest.ForEach.OnDelete == "delete" {
				if err := l.find(ctx); err != nil {
					f.stay(l)
					if ctx.Err() != nil {
						return
					}
					f.in.waits.On(kafka, who, err)
					if stage.Sleep(ctx, wait.NextBackOff()) != nil {
						return
					}
					continue
				}
				f.in.waits.Done(kafka, who)
				wait.Reset()
			}
			for _, piece := range l.pieces() {
				if f.list(ctx, piece) != nil {
					return
				}
			}
		}
	}
}

// dead is a listing of children that can be removed.
func (f *feed) dead() *listing {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &listing{feed: f, of: map[*child]int64{}}
	for c := range f.gone {
		if c.gone && !c.active && !c.leaving && len(l.removed) < listed {
			c.leaving = true
			l.removed = append(l.removed, c)
			l.of[c] = c.want
		}
	}
	return l
}

// stay undoes [feed.dead].
func (f *feed) stay(l *listing) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range l.removed {
		c.leaving = false
	}
	signal(f.reaping)
}

// streamEnded reports whether all slices of a stream that this process has have ended a pass.
func (in *Ingest) streamEnded(stream string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, ref := range in.owned {
		if ref.stream.Name == stream && !in.ended[cursor.Key(stream, ref.name)] {
			return false
		}
	}
	return true
}

// raw names the raw topic of the child stream.
func (f *feed) raw() string { return topics.Raw(f.in.p.Name, f.stream.Name) }
