package letters

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// An edited record is a raw record behind all others of its key, with the headers of its origin: it is processed as it
// comes. It is written only if the origin is the newest of its key, in one Kafka transaction with the record that
// closes the letter. A newer record could still be written between the look and the edit: so the offsets between are
// looked at before the commit, also what is not committed there, and where there is one of the key the transaction is
// aborted. What is written later has a higher offset, and wins.

// Edit is what is to become of the raw record of a letter.
type Edit struct {
	ID    string // of the letter's origin
	Value []byte
}

// EditConfig says of which stream.
type EditConfig struct {
	Pipeline, Stream string // of the line whose dead-letter topic it is
	Raw              string // topic
	Partitions       int32  // of the pipeline file
	Control          control.Config
	MaxBytes         int32 // of a raw record
}

// Edited says what became of edits.
type Edited struct {
	Edited     int `json:"edited"`
	Superseded int `json:"superseded"` // their keys have a newer raw record: the letters are closed
	Closed     int `json:"closed"`     // they were closed before; nothing was done
	NoRecord   int `json:"no_record"`  // the raw topic has their records no more: they stay open
	// BeforeGrow are of records from before the topics were given more partitions, which are at other offsets now: they
	// stay open until a retry has processed the records again.
	BeforeGrow int `json:"before_grow"`
}

const (
	editsAtOnce = 500             // the edits of one transaction
	abortFor    = 5 * time.Second // how long brokers may take to abort one, once the context has ended
)

// Write writes edits, each once: it may be called again with the same ones after any error. Of one id there must be one
// edit. The error says that the topics are given more partitions, or have another number of them than the file; or it
// is the brokers', or ctx's.
func Write(ctx context.Context, cfg EditConfig, edits []Edit) (done Edited, err error) {
	producer, err := kgo.NewClient(append(slices.Clone(cfg.Control.Client), kgo.TransactionalID(topics.EditTransactionalID(cfg.Pipeline, cfg.Stream)),
		kgo.TransactionTimeout(time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(cfg.MaxBytes+topics.LetterBytes))...)
	if err != nil {
		return done, err
	}
	defer producer.Close()
	defer closedAfter(ctx, producer)()
	// From here on nobody else who edits letters of the stream can commit; so what is closed is read after it.
	if _, _, err := producer.ProducerID(ctx); err != nil {
		return done, fmt.Errorf("initialise the producer: %w", err)
	}
	// A grow that is decided after this takes the producer's id away first.
	epoch, earlier, err := cfg.epochs(ctx, producer)
	if err != nil {
		return done, err
	}
	for some := range slices.Chunk(edits, editsAtOnce) {
		for wait := stage.NewBackoff(); ; {
			w := &editing{EditConfig: cfg, producer: producer, epoch: epoch, earlier: earlier, done: done}
			again, err := w.write(ctx, some)
			if err != nil {
				return done, fmt.Errorf("write edited records to %s: %w", cfg.Raw, err)
			}
			if done = w.done; !again {
				break
			}
			done = w.before
			if err := stage.Sleep(ctx, wait.NextBackOff()); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// closedAfter closes a producer a while after ctx has ended, unless stop is called before: what it has sent, and the
// brokers have not answered, it waits for as long as it is open.
func closedAfter(ctx context.Context, producer *kgo.Client) (stop func()) {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		if stage.Sleep(working, abortFor) == nil {
			producer.Close()
		}
	})
	return stop
}

// epochs are that of the raw topic, and those that it had with fewer partitions. The error says why nothing may be
// written now.
func (cfg EditConfig) epochs(ctx context.Context, cl *kgo.Client) (epoch uint16, earlier map[uint16]bool, err error) {
	s, err := control.About(ctx, cfg.Control, cfg.Stream)
	if err != nil {
		return 0, nil, err
	}
	if err := s.GrowRefusesFile(cfg.Partitions); err != nil {
		return 0, nil, fmt.Errorf("stream %s: %w", cfg.Stream, err)
	}
	details, err := kadm.NewClient(cl).ListTopics(ctx, cfg.Raw)
	if err == nil {
		err = details[cfg.Raw].Err
	}
	if err != nil {
		return 0, nil, fmt.Errorf("topic %s: %w", cfg.Raw, err)
	}
	id := details[cfg.Raw].ID
	epoch, known := s.Epoch(hex.EncodeToString(id[:]))
	if !known {
		return 0, nil, fmt.Errorf("topic %s was recreated, and no processor has seen the new one yet: start one", cfg.Raw)
	}
	return epoch, s.EarlierEpochs(epoch), nil
}

// editing is one transaction.
type editing struct {
	EditConfig

	producer     *kgo.Client
	epoch        uint16          // of the raw topic
	earlier      map[uint16]bool // epochs of the same topic, when it had fewer partitions
	before, done Edited
	newest       map[string]*kgo.Record // raw, by key
	ends         map[int32]int64        // of the raw topic, as it was read
}

// write writes some edits. again says that a newer record came meanwhile, and nothing was written.
func (w *editing) write(ctx context.Context, edits []Edit) (again bool, err error) {
	w.before = w.done
	open, err := w.open(ctx, edits)
	if err != nil {
		return false, err
	}
	if err := w.read(ctx, open); err != nil {
		return false, err
	}
	raw, closing := w.records(edits, open)
	if len(closing) == 0 {
		return false, nil
	}
	if err := w.producer.BeginTransaction(); err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}
	err = w.producer.ProduceSync(ctx, raw...).FirstErr()
	if err == nil {
		again, err = w.overtaken(ctx, raw)
	}
	if err == nil && !again {
		err = w.producer.ProduceSync(ctx, closing...).FirstErr()
	}
	ending := context.WithoutCancel(ctx) // else whoever reads the topics waits for the transaction until it times out
	if err != nil || again {
		return again, errors.Join(err, w.producer.EndTransaction(ending, kgo.TryAbort))
	}
	if err := w.producer.EndTransaction(ending, kgo.TryCommit); err != nil {
		return false, fmt.Errorf("commit: %w", err) // whoever calls again finds whether it was
	}
	return false, nil
}

// open are the letters of edits that are open, by the id of the origin.
func (w *editing) open(ctx context.Context, edits []Edit) (map[string]*Letter, error) {
	all, err := Read(ctx, w.Control.Client, w.Pipeline, w.Stream, false)
	if err != nil {
		return nil, err
	}
	of := map[string]*Letter{}
	for _, l := range all {
		if l.Closed == nil && l.Retryable() {
			of[l.Origin.ID] = l
		}
	}
	open := map[string]*Letter{}
	for _, e := range edits {
		if l := of[e.ID]; l != nil {
			open[e.ID] = l
		} else {
			w.done.Closed++
		}
	}
	return open, nil
}

// read finds the newest raw records of the keys of letters.
func (w *editing) read(ctx context.Context, open map[string]*Letter) error {
	keys := map[string]bool{}
	for _, l := range open {
		keys[string(l.Record.Key)] = true
	}
	cl, err := kgo.NewClient(w.Control.Client...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if w.ends, err = admin.Ends(ctx, kadm.NewClient(cl), w.Raw); err != nil {
		return err
	}
	ranges := map[int32]admin.Range{}
	for partition, end := range w.ends {
		ranges[partition] = admin.Range{From: 0, To: end}
	}
	w.newest = map[string]*kgo.Record{}
	versions := map[string]topics.Version{}
	return admin.ReadRanges(ctx, w.Control.Client, w.Raw, ranges, func(r *kgo.Record) {
		if !keys[string(r.Key)] {
			return
		}
		v, err := topics.RawVersion(r, w.epoch, 0)
		if was, ok := versions[string(r.Key)]; err == nil && (!ok || string(v[:]) > string(was[:])) {
			versions[string(r.Key)], w.newest[string(r.Key)] = v, r
		}
	})
}

// records are the raw records to be written, and those that close the letters.
func (w *editing) records(edits []Edit, open map[string]*Letter) (raw, closing []*kgo.Record) {
	for _, e := range edits {
		l := open[e.ID]
		if l == nil {
			continue
		}
		r := w.newest[string(l.Record.Key)]
		if r == nil {
			w.done.NoRecord++
			continue
		}
		if w.earlier[l.Position.Epoch] { // whether r is the letter's cannot be told by the offset
			w.done.BeforeGrow++
			continue
		}
		c := topics.Closing{Outcome: topics.Superseded, Generation: l.Generation, By: w.Control.Who}
		if l.Position.Epoch == w.epoch && r.Partition == l.Position.Partition && r.Offset == l.Position.Offset {
			c.Outcome = topics.Edited
			raw = append(raw, edited(r, e))
			w.done.Edited++
		} else {
			w.done.Superseded++
		}
		closing = append(closing, c.Record(l.Record))
	}
	return raw, closing
}

// edited is the raw record that an edit writes.
func edited(r *kgo.Record, e Edit) *kgo.Record {
	headers := slices.DeleteFunc(slices.Clone(r.Headers), func(h kgo.RecordHeader) bool { return h.Key == topics.HeaderEdit || h.Key == topics.HeaderWas })
	headers = append(headers, kgo.RecordHeader{Key: topics.HeaderEdit, Value: []byte(e.ID)})
	return &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: e.Value, Headers: headers}
}

// overtaken reports whether a record of one of the keys stands between what was read and what was written.
func (w *editing) overtaken(ctx context.Context, raw []*kgo.Record) (bool, error) {
	last, ours := map[int32]int64{}, map[string]int64{}
	for _, r := range raw {
		last[r.Partition] = max(last[r.Partition], r.Offset)
		ours[string(r.Key)] = r.Offset
	}
	from := map[int32]kgo.Offset{}
	for n := range last {
		from[n] = kgo.NewOffset().At(w.ends[n])
	}
	if len(from) == 0 {
		return false, nil
	}
	reader, err := kgo.NewClient(append(slices.Clone(w.Control.Client), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{w.Raw: from}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchIsolationLevel(kgo.ReadUncommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		return false, err
	}
	defer reader.Close()
	found := false
	for len(last) > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return false, err
		}
		for r := range fetches.RecordsAll() {
			if at, ok := ours[string(r.Key)]; ok && !r.Attrs.IsControl() && r.Offset < at {
				found = true
			}
			if end, ok := last[r.Partition]; ok && r.Offset >= end {
				delete(last, r.Partition)
			}
		}
	}
	return found, nil
}
