package reset

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Sweep is the keys that a complete pass did not show. It is for one goroutine.
type Sweep struct {
	Keys     int // keys that the raw topic shows as there, with those that are to be deleted
	Held     int // of those that were not shown: keys of which a record was refused since the reset, which are kept
	Unknown  int // records without a key that were refused since the reset
	cfg      Config
	plan     *control.Sweep
	gone     map[string]last
	upTo     map[int32]int64 // raw offsets that were looked at
	attempts string
}

// last is the newest record of a key.
type last struct {
	partition int32
	source    int64
	hasSource bool
	offset    int64
}

// Gone is how many keys are to be deleted.
func (s *Sweep) Gone() int { return len(s.gone) }

// Share is how much of all keys that is, from 0 to 1.
func (s *Sweep) Share() float64 { return float64(len(s.gone)) / float64(max(s.Keys, 1)) }

// Examples are some of the keys that are to be deleted, sorted.
func (s *Sweep) Examples(most int) []string {
	var out []string
	for key := range s.gone {
		if len(out) == most {
			break
		}
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}

// ErrElsewhere says that what a sweep counts from is gone, so that the reset has to be done again.
var ErrElsewhere = errors.New("the raw topic was recreated since the reset, so that it is not known what the pass has not shown")

// Look finds the keys whose newest raw record is older than the reset and no tombstone, beside running ingests.
func Look(ctx context.Context, cfg Config, plan *control.Sweep) (*Sweep, error) {
	s := &Sweep{cfg: cfg, plan: plan, gone: map[string]last{}, upTo: map[int32]int64{}, attempts: rand.Text()}
	// whoever deletes may have died in its transaction, which would be waited for until it times out
	if plan.Deleting != "" {
		ids := map[int32]string{}
		for n := range cfg.Pipeline.Kafka.Partitions {
			ids[n] = topics.SweepTransactionalID(cfg.Pipeline.Name, cfg.Stream.Name)
		}
		raw := topics.Raw(cfg.Pipeline.Name, cfg.Stream.Name)
		if err := control.Persist(ctx, func() error { return admin.AbortAbandoned(ctx, cfg.Client, raw, ids) }); err != nil {
			return nil, err
		}
	}
	id, ends, err := cfg.rawEnds(ctx)
	if err != nil {
		return nil, err
	}
	if id != plan.RawTopicID {
		return nil, ErrElsewhere
	}
	for n, end := range ends {
		if end < plan.From[n] {
			return nil, ErrElsewhere // it has lost its end
		}
		if err := s.look(ctx, n, end); err != nil {
			return nil, err
		}
	}
	return s, s.hold(ctx)
}

// look looks at a partition: first at what came after the reset, which is kept as a hash of each key, then at what was
// there before.
func (s *Sweep) look(ctx context.Context, n int32, end int64) error {
	topic := topics.Raw(s.cfg.Pipeline.Name, s.cfg.Stream.Name)
	shown := map[xxh3.Uint128]bool{} // by key: whether it is there
	err := admin.ReadRanges(ctx, s.cfg.Control.Client, topic, map[int32]admin.Range{n: {From: s.plan.From[n], To: end}}, func(r *kgo.Record) {
		if r.Key != nil {
			shown[xxh3.Hash128(r.Key)] = r.Value != nil
		}
	})
	if err != nil {
		return err
	}
	for _, there := range shown {
		if there {
			s.Keys++
		}
	}
	before := len(s.gone)
	var failed error
	err = admin.ReadRanges(ctx, s.cfg.Control.Client, topic, map[int32]admin.Range{n: {From: 0, To: s.plan.From[n]}}, func(r *kgo.Record) {
		if r.Key == nil {
			return
		}
		if _, ok := shown[xxh3.Hash128(r.Key)]; ok {
			return
		}
		if r.Value == nil {
			delete(s.gone, string(r.Key))
			return
		}
		h, err := topics.ParseRawHeaders(r)
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s[%d]@%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		s.gone[string(r.Key)] = last{r.Partition, h.Source, h.HasSource, r.Offset}
	})
	s.Keys += len(s.gone) - before
	s.upTo[n] = end
	return errors.Join(err, failed)
}

// lettersBefore is how far the clocks of two hosts may differ.
const lettersBefore = 10 * time.Minute

// hold keeps keys of which ingest refused a record since the reset: the API does show them.
func (s *Sweep) hold(ctx context.Context) error {
	since := s.plan.At.Add(-lettersBefore)
	s.Unknown = 0
	return admin.Read(ctx, s.cfg.Control.Client, topics.DeadLetters(s.cfg.Pipeline.Name, s.cfg.Stream.Name), func(r *kgo.Record) {
		l, _, err := topics.ParseLetter(r)
		if _, closes := topics.ParseClosing(r); closes || err != nil || l.Stage != "ingest" || r.Timestamp.Before(since) {
			return
		}
		if r.Key == nil {
			s.Unknown++
			return
		}
		if _, ok := s.gone[string(r.Key)]; ok {
			delete(s.gone, string(r.Key))
			s.Held++
		}
	})
}

// Delete writes the tombstones, as they still are due once nothing is fetched any more, and lets ingest go on. It
// returns how many. The sweep is ended with it, unless raw records are to be deleted too: see [Forget].
func (s *Sweep) Delete(ctx context.Context) (deleted int, err error) {
	if len(s.gone) == 0 {
		return 0, s.end(ctx)
	}
	producer, err := s.producer(ctx)
	if err != nil {
		return 0, err
	}
	defer producer.Close()
	if err := s.stop(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.goOn(context.WithoutCancel(ctx), err == nil)) }()
	if err := s.fence(ctx); err != nil {
		return 0, err
	}
	if err := s.rest(ctx); err != nil {
		return 0, err
	}
	return len(s.gone), s.write(ctx, producer)
}

// producer takes over from whoever deletes for the same stream, or did so and was held up: that one cannot commit any
// more.
func (s *Sweep) producer(ctx context.Context) (producer *kgo.Client, err error) {
	id := topics.SweepTransactionalID(s.cfg.Pipeline.Name, s.cfg.Stream.Name)
	err = control.Persist(ctx, func() error { // a client that was refused keeps the answer
		producer, err = kgo.NewClient(append(slices.Clone(s.cfg.Control.Client), kgo.TransactionalID(id),
			kgo.TransactionTimeout(time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		if err != nil {
			return err
		}
		if _, _, err := producer.ProducerID(ctx); err != nil {
			producer.Close()
			return fmt.Errorf("initialise the producer: %w", err)
		}
		return nil
	})
	return producer, err
}

// stop decides that nothing of the stream is fetched.
func (s *Sweep) stop(ctx context.Context) error {
	_, err := control.Change(ctx, s.cfg.Control, s.cfg.Stream.Name, func(c *control.Stream) error {
		if c.Sweep == nil || !c.Sweep.At.Equal(s.plan.At) {
			return fmt.Errorf("the stream was reset again, or swept, meanwhile: `%s` shows it", s.cfg.command("status"))
		}
		c.Sweep.Deleting = s.attempts
		c.Reset.Fenced++
		return nil
	})
	return err
}

// end ends a sweep that has nothing to delete.
func (s *Sweep) end(ctx context.Context) error {
	_, err := control.Change(ctx, s.cfg.Control, s.cfg.Stream.Name, func(c *control.Stream) error {
		if c.Sweep == nil || !c.Sweep.At.Equal(s.plan.At) || c.Sweep.Forget && c.SweptBy() == "" {
			return control.ErrUnchanged
		}
		if c.Sweep.Deleting = ""; !c.Sweep.Forget {
			c.Sweep = nil
		}
		return nil
	})
	return err
}

// goOn lets ingest fetch again, unless another has taken the deletion over.
func (s *Sweep) goOn(ctx context.Context, ended bool) error {
	ctx, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	_, err := control.Change(ctx, s.cfg.Control, s.cfg.Stream.Name, func(c *control.Stream) error {
		if c.SweptBy() != s.attempts {
			return control.ErrUnchanged
		}
		c.Sweep.Deleting = ""
		c.Reset.Fenced++ // since it was counted for the first time, an owner may have claimed, and been fenced
		if ended && !c.Sweep.Forget {
			c.Sweep = nil
		}
		return nil
	})
	return err
}

// fence has it that no page that was fetched before the decision can be committed: whoever claims the slices after this
// reads the decision first.
func (s *Sweep) fence(ctx context.Context) error {
	partitions, err := s.cfg.statePartitions(ctx)
	if err != nil {
		return err
	}
	for _, n := range partitions {
		id := topics.IngestTransactionalID(s.cfg.Pipeline.Name, n)
		if err := control.Persist(ctx, func() error { return admin.FenceID(ctx, s.cfg.Client, id) }); err != nil {
			return err
		}
	}
	return nil
}

// rest looks at what came while it was looked.
func (s *Sweep) rest(ctx context.Context) error {
	id, ends, err := s.cfg.rawEnds(ctx)
	if err != nil {
		return err
	}
	if id != s.plan.RawTopicID {
		return ErrElsewhere
	}
	ranges := map[int32]admin.Range{}
	for n, end := range ends {
		ranges[n] = admin.Range{From: s.upTo[n], To: end}
	}
	err = admin.ReadRanges(ctx, s.cfg.Control.Client, topics.Raw(s.cfg.Pipeline.Name, s.cfg.Stream.Name), ranges, func(r *kgo.Record) { delete(s.gone, string(r.Key)) })
	return errors.Join(err, s.hold(ctx))
}

// write writes the tombstones in one transaction, in the order of what they follow.
func (s *Sweep) write(ctx context.Context, producer *kgo.Client) error {
	if len(s.gone) == 0 {
		return nil
	}
	keys := make([]string, 0, len(s.gone))
	for key := range s.gone {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(s.gone[a].offset, s.gone[b].offset) })
	if err := producer.BeginTransaction(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	at := now()
	var failed kgo.FirstErrPromise
	for i, key := range keys {
		newest := s.gone[key]
		headers := topics.RawHeaders{
			Source: newest.source, HasSource: newest.hasSource, PageID: "sweep", Ordinal: i, Time: at,
		}
		producer.Produce(ctx, &kgo.Record{
			Topic: topics.Raw(s.cfg.Pipeline.Name, s.cfg.Stream.Name), Partition: newest.partition, Key: []byte(key),
			Headers: headers.Append(nil),
		}, failed.Promise())
	}
	if err := producer.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if err := failed.Err(); err != nil {
		return errors.Join(fmt.Errorf("write tombstones: %w", err), producer.EndTransaction(ctx, kgo.TryAbort))
	}
	if err := producer.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit: %w", err) // it may have been committed: whoever looks again finds no such key
	}
	return nil
}

// Left is how many raw records from before the reset the processors of a line have not passed, as [Behind] counts.
func Left(ctx context.Context, cfg Config, line *pipeline.Pipeline, plan *control.Sweep) (int64, error) {
	topic, about := topics.Raw(cfg.Pipeline.Name, cfg.Stream.Name), cfg.Control
	about.Pipeline = line.Name
	s, err := control.About(ctx, about, cfg.Stream.Name)
	if err != nil {
		return 0, err
	}
	decided := map[string]*control.Stream{topic: s}
	next, err := control.Next(ctx, cfg.Client, topics.ProcessorGroup(line.Name), decided)
	if err != nil {
		return 0, err
	}
	return Behind(ctx, cfg, topic, next[topic], plan.From)
}

// Forget deletes the raw records from before the reset, which the processors have passed, and ends the sweep.
func Forget(ctx context.Context, cfg Config, plan *control.Sweep) error {
	topic := topics.Raw(cfg.Pipeline.Name, cfg.Stream.Name)
	id, err := cfg.rawID(ctx)
	if err != nil {
		return err
	}
	if id != plan.RawTopicID {
		return ErrElsewhere
	}
	upTo := kadm.Offsets{}
	for n, to := range plan.From {
		upTo.Add(kadm.Offset{Topic: topic, Partition: n, At: to})
	}
	deleted, err := kadm.NewClient(cfg.Client).DeleteRecords(ctx, upTo)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		return fmt.Errorf("delete records of %s: %w", topic, err)
	}
	_, err = control.Change(ctx, cfg.Control, cfg.Stream.Name, func(c *control.Stream) error {
		if c.Sweep == nil || !c.Sweep.At.Equal(plan.At) {
			return control.ErrUnchanged
		}
		c.Sweep = nil
		return nil
	})
	return err
}
