package processor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processor/redo"
	"github.com/millrace-io/millrace/topics"
)

// index returns what is known of a partition, and has it be looked through if it is not yet.
func (r *Redo) index(partition int32) *index {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.indexes[partition]
	if x == nil {
		x = &index{ready: make(chan struct{})}
		r.indexes[partition] = x
		r.told.Looking++
		ctx := r.ctx
		r.g.Go(func() error { return r.lookThrough(ctx, partition, x) })
	}
	return x
}

// lookThrough makes the index of a partition, waiting for Kafka as long as it takes.
func (r *Redo) lookThrough(ctx context.Context, partition int32, x *index) error {
	select {
	case r.build <- struct{}{}:
		defer func() { <-r.build }()
	case <-ctx.Done():
		return nil
	}
	who := fmt.Sprintf("%s[%d]", r.raw, partition)
	var marks *redo.Marks
	var refused string
	err := r.p.waits.Persist(ctx, r.p.attempts(who), func(ctx context.Context) (err error) {
		marks, refused, err = r.marks(ctx, partition)
		return err
	})
	if err != nil || ctx.Err() != nil {
		return err
	}
	if err := r.looked(marks, refused); err != nil {
		r.stop(err)
		return nil
	}
	x.marks = marks
	close(x.ready)
	return nil
}

// looked counts a partition that was looked through, and refuses to go on if too many records were refused.
func (r *Redo) looked(m *redo.Marks, refused string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.told
	t.Looking--
	t.Keys, t.Refused, t.Records, t.Passes = t.Keys+m.Keys, t.Refused+m.Letters, t.Records+m.Records, max(t.Passes, m.Passes)
	if refused != "" {
		r.example = refused
	}
	limit := r.cfg.Letters
	if limit < 0 {
		limit = 100 + t.Keys/100
	}
	if t.Refused > limit {
		return &TooManyLettersError{r.cfg.Stream, t.Refused, t.Keys, r.example}
	}
	return nil
}

// marks looks through a partition once. refused is where and why a record is, if one is.
func (r *Redo) marks(ctx context.Context, partition int32) (m *redo.Marks, refused string, err error) {
	starts, err := kadm.NewClient(r.cl).ListStartOffsets(ctx, r.raw)
	if err != nil {
		return nil, "", err
	}
	start, ok := starts.Lookup(r.raw, partition)
	if !ok || start.Err != nil {
		return nil, "", fmt.Errorf("%s[%d]: its start is not known: %w", r.raw, partition, start.Err)
	}
	rng := r.rangeOf(partition, start.Offset)
	log := r.log(partition)
	if !rng.Versioned {
		if rng.Versioned, err = log.sourced(ctx, rng.Start, rng.Cut); err != nil {
			return nil, "", err
		}
	}
	w := newWorker(r.stream, newArena())
	looked := 0
	log.scan = &scanLimit{rate: &r.p.rate, sessions: r.p.sessionCount()}
	m, err = redo.Build(ctx, rng, log, func(raw *kgo.Record) bool {
		version, err := topics.RawVersion(raw, r.stream.epoch, r.stream.generation)
		if err == nil {
			w.out = w.out[:0]
			err = w.process(raw, version)
		}
		if looked++; looked%arenaRecords == 0 {
			w.arena.reset()
		}
		if err != nil {
			step, reason := refusal(err)
			refused = fmt.Sprintf("%s[%d]@%d: %s: %s", raw.Topic, raw.Partition, raw.Offset, step, reason)
		}
		return err == nil
	})
	return m, refused, err
}

// rangeOf is what is asked of a partition whose log begins at start.
func (r *Redo) rangeOf(partition int32, start int64) redo.Range {
	cut := max(r.cfg.Cut[partition], start)
	within := func(asked map[int32]int64, otherwise int64) int64 {
		offset, ok := asked[partition]
		if !ok {
			offset = otherwise
		}
		return min(max(offset, start), cut)
	}
	out := redo.Range{
		Start: start, From: within(r.cfg.From, start), To: within(r.cfg.To, cut), Cut: cut,
		MaxKeys: max(1000, int(r.cfg.Memory/redo.BytesPerKey)/cap(r.build)),
	}
	if s := r.p.pipeline.Stream(r.cfg.Stream); s != nil {
		out.Versioned = s.Ingest.Version != ""
	}
	if r.cfg.Refused != nil {
		out.Refused = map[int64]bool{}
		for _, offset := range r.cfg.Refused[partition] {
			out.Refused[offset] = true
		}
	}
	if r.cfg.Keys != nil {
		out.Keys = map[string]bool{}
		for _, key := range r.cfg.Keys {
			out.Keys[key] = true
		}
	}
	return out
}

// partitionLog is a partition of a raw topic.
type partitionLog struct {
	kafka      []kgo.Opt
	topic      string
	partition  int32
	fetchBytes int32      // of one answer, compressed
	scan       *scanLimit // nil: it is read as fast as it goes
}

// log is a partition of the stream's raw topic.
func (r *Redo) log(partition int32) partitionLog {
	l := partitionLog{kafka: r.p.env.Kafka, topic: r.raw, partition: partition, fetchBytes: indexFetchBytes}
	if r.cfg.Rate > 0 {
		l.fetchBytes = int32(r.p.cfg.FetchBytes) // a large answer takes the cores from live records while it is decompressed
	}
	return l
}

// Read is [redo.Log]'s. It finds the end by position, for it may be a marker.
func (l partitionLog) Read(ctx context.Context, from, to int64, f func(*kgo.Record) error) error {
	if from >= to {
		return nil
	}
	cl, err := kgo.NewClient(append(slices.Clone(l.kafka),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.topic: {l.partition: kgo.NewOffset().At(from)}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxBytes(l.fetchBytes), kgo.FetchMaxPartitionBytes(l.fetchBytes),
		kgo.FetchMaxWait(100*time.Millisecond),
	)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for at := from; at < to; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s[%d] at %d: %w", l.topic, l.partition, at, err)
		}
		for r := range fetches.RecordsAll() {
			if r.Offset >= to {
				return nil
			}
			if at = r.Offset + 1; r.Attrs.IsControl() {
				continue
			}
			if l.scan != nil {
				l.scan.wait(ctx)
			}
			if err := f(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// indexFetchBytes is of one answer where no rate is to be kept: what is read is read to its end.
const indexFetchBytes = 4 << 20

// sourced reports whether the first record has a version of the source's: a stream may have had a version field before.
func (l partitionLog) sourced(ctx context.Context, from, to int64) (found bool, err error) {
	err = l.Read(ctx, from, to, func(r *kgo.Record) error {
		_, found = topics.Header(r, topics.HeaderSource)
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return false, err
	}
	return found, nil
}

var errEnough = errors.New("enough was read")
