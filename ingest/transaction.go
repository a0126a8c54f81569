package ingest

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/internal/mutant"
	"github.com/millrace-io/millrace/topics"
)

// transaction is whole pages, or a part of one large page, and one cursor for each of their slices. After any error
// the claim that it belongs to is given up, with all that is remembered: what was committed is read back from the
// state topic, so that it does not matter here what became of a commit without an answer.
type transaction struct {
	c       *claim
	bytes   int64
	pages   []*page                   // that end in it
	cursors map[*slice]*cursor.Cursor // to commit
	counts  map[*slice]*counts
	err     atomic.Pointer[error] // the first that a record met
}

type counts struct{ records, unchanged, letters int }

func (c *claim) begin() (*transaction, error) {
	if err := c.cl.BeginTransaction(); err != nil {
		return nil, c.failed("begin", err)
	}
	return &transaction{c: c, cursors: map[*slice]*cursor.Cursor{}, counts: map[*slice]*counts{}}, nil
}

// failed says what an error of the brokers means.
func (c *claim) failed(doing string, err error) error {
	err = fmt.Errorf("%s: %w", doing, err)
	if fencing(err) {
		return &FencedError{Partition: c.partition, Err: err}
	}
	return fmt.Errorf("state partition %d: %w", c.partition, err)
}

// failure is the first error that a record met.
func (t *transaction) failure() error {
	if err := t.err.Load(); err != nil {
		return t.c.failed("produce", *err)
	}
	return nil
}

func (t *transaction) produce(ctx context.Context, r *kgo.Record) {
	t.c.cl.Produce(ctx, r, t.promise)
}

func (t *transaction) promise(_ *kgo.Record, err error) {
	if err != nil {
		t.err.CompareAndSwap(nil, &err)
	}
}

func (t *transaction) count(s *slice) *counts {
	n := t.counts[s]
	if n == nil {
		n = &counts{}
		t.counts[s] = n
	}
	return n
}

// errFull ends the walk over a page's records where the transaction is full.
var errFull = errors.New("transaction is full")

// add produces the records of a page from an ordinal on that have changed, until limit bytes are in the transaction.
// It returns the ordinal of the next record, which is the number of records if the page is complete.
func (t *transaction) add(ctx context.Context, p *page, from int, limit int64) (int, error) {
	s, n := p.slice, t.count(p.slice)
	w := newRecords(p)
	next := from
	err := s.reader.each(p, from, func(ordinal int, rec *record, keep bool) error {
		if t.bytes >= limit {
			return errFull
		}
		next = ordinal + 1
		if s.written.Unchanged(rec.id, rec.content, p.after.Pass) {
			n.unchanged++
			return nil
		}
		if !keep {
			rec.value = bytes.Clone(rec.value)
		}
		field := rec.field
		if s.full {
			field = p.after.Pass
		}
		s.written.Wrote(rec.id, rec.content, field)
		t.bytes += int64(len(rec.value) + len(rec.key))
		raw := w.raw(ordinal, rec)
		if rec.key != nil {
			n.records++
			t.produce(ctx, raw)
			return nil
		}
		n.letters++
		letter := topics.Letter{Stage: "ingest", Generation: topics.FirstGeneration, Step: "ingest.key", Reason: rec.reason}
		id := fmt.Sprintf("ingest:%s:%s:%d", s.key, p.id, ordinal)
		t.produce(ctx, letter.Record(topics.DeadLetters(s.in.p.Name, s.stream.Name), id, raw))
		return nil
	})
	if err != nil && !errors.Is(err, errFull) {
		return next, fmt.Errorf("read page %s of %s again: %w", p.id, s.key, err)
	}
	return next, t.failure()
}

// ended notes that a page ends in this transaction.
func (t *transaction) ended(p *page) {
	after := p.after
	t.cursors[p.slice] = &after
	t.pages = append(t.pages, p)
}

// broken notes that this transaction ends inside a page.
func (t *transaction) broken(p *page, ordinal int) error {
	h, err := p.answer.Body.Hash()
	if err != nil {
		return err
	}
	b := h.Bytes()
	c := p.before
	c.Partial = &cursor.Partial{Ordinal: ordinal, Hash: hex.EncodeToString(b[:])}
	t.cursors[p.slice] = &c
	return nil
}

// resume is the ordinal from which on a page is not committed yet, after a crash between its parts. If the page has
// changed since, it begins again.
func resume(p *page) (int, error) {
	partial := p.before.Partial
	if partial == nil {
		return 0, nil
	}
	h, err := p.answer.Body.Hash()
	if err != nil {
		return 0, err
	}
	if b := h.Bytes(); hex.EncodeToString(b[:]) != partial.Hash {
		p.slice.log.Info("a large page has changed since its first part was committed: it begins again", "page", p.id, "records", partial.Ordinal)
		return 0, nil
	}
	return partial.Ordinal, nil
}

// commit writes the cursors and ends the transaction. When it returns nil, everything in it is durable and visible.
func (t *transaction) commit(ctx context.Context) error {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 2*t.c.timeout)
	defer cancel()
	state, err := t.state()
	if err != nil {
		return err
	}
	inside := !mutant.Off(mutant.CursorInTransaction)
	if inside {
		for _, r := range state {
			t.produce(ctx, r)
		}
	}
	if err := t.c.cl.Flush(ctx); err != nil {
		return t.c.failed("flush", err)
	}
	if err := t.failure(); err != nil {
		return err
	}
	if err := t.c.cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return t.c.failed("commit", err)
	}
	if !inside {
		if err := t.c.outside.ProduceSync(ctx, state...).FirstErr(); err != nil {
			return t.c.failed("write cursors", err)
		}
	}
	t.committed(time.Since(start))
	return nil
}

// state is what goes to the state topic: segments of what is remembered, and cursors.
func (t *transaction) state() ([]*kgo.Record, error) {
	var records []*kgo.Record
	add := func(key, value []byte) {
		records = append(records, &kgo.Record{Topic: t.c.topic, Partition: t.c.partition, Key: key, Value: value})
	}
	for s, c := range t.cursors {
		if c.Done {
			floor := c.Pass
			if !s.full {
				floor = s.reader.scale.Floor(c.Since)
			}
			s.written.SetFloor(floor)
		}
		for _, r := range s.written.Commit() {
			add(written.SegmentKey(s.key, r.Segment), r.Value)
		}
		value, err := c.Encode()
		if err != nil {
			return nil, err
		}
		add([]byte(s.key), value)
	}
	return records, nil
}

func (t *transaction) committed(took time.Duration) {
	for s, n := range t.counts {
		s.metrics.records.Add(float64(n.records))
		s.metrics.unchanged.Add(float64(n.unchanged))
		s.metrics.deadLetters.Add(float64(n.letters))
		s.in.metrics.commits.Observe(took.Seconds())
	}
	for _, p := range t.pages {
		p.slice.metrics.pages.Inc()
		if p.after.Done {
			p.slice.metrics.passes.Inc()
			p.slice.in.passEnded(p.slice.key)
		}
		p.close()
		close(p.committed)
	}
}

// records makes Kafka records of a page's records. Their headers are the same but for the ordinal and the version.
type records struct {
	topic    string
	headers  []kgo.RecordHeader // with place for both
	page     int                // index of mr-page
	source   int                // index of mr-source
	prefix   string
	unused   []kgo.Record
	headroom []kgo.RecordHeader
	text     []byte
}

const recordBatch = 128 // records allocated at once

func newRecords(p *page) *records {
	h := topics.RawHeaders{HasSource: true, PageID: p.id, Slice: p.slice.name, Time: p.answer.Time, URL: p.url}
	w := &records{topic: topics.Raw(p.slice.in.p.Name, p.slice.stream.Name), headers: h.Append(nil), prefix: p.id + ":"}
	for i, header := range w.headers {
		switch header.Key {
		case topics.HeaderPage:
			w.page = i
		case topics.HeaderSource:
			w.source = i
		}
	}
	return w
}

func (w *records) raw(ordinal int, rec *record) *kgo.Record {
	if len(w.unused) == 0 {
		w.unused = make([]kgo.Record, recordBatch)
		w.headroom = make([]kgo.RecordHeader, 0, recordBatch*len(w.headers))
		w.text = make([]byte, 0, recordBatch*(len(w.prefix)+24))
	}
	r := &w.unused[0]
	w.unused = w.unused[1:]
	start := len(w.headroom)
	for i, h := range w.headers {
		switch i {
		case w.page:
			h.Value = w.piece(func(b []byte) []byte { return strconv.AppendInt(append(b, w.prefix...), int64(ordinal), 10) })
		case w.source:
			if !rec.hasSource {
				continue
			}
			h.Value = w.piece(func(b []byte) []byte { return strconv.AppendInt(b, rec.source, 10) })
		}
		w.headroom = append(w.headroom, h)
	}
	*r = kgo.Record{Topic: w.topic, Key: rec.key, Value: rec.value, Headers: w.headroom[start:len(w.headroom):len(w.headroom)]}
	return r
}

// piece returns what f appended.
func (w *records) piece(f func([]byte) []byte) []byte {
	start := len(w.text)
	w.text = f(w.text)
	return w.text[start:len(w.text):len(w.text)]
}
