package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/cursor"
)

// errFull ends the walk over a page's records where the transaction is full.
var errFull = errors.New("transaction is full")

// production writes the records of a page to a transaction.
type production struct {
	t    *transaction
	p    *page
	raw  *rawRecords
	n    *counts
	next int // ordinal of the record to go on from
}

// produce writes the records of a page from an ordinal on that have changed, while there is room in the transaction.
// It returns the ordinal of the next record, which is the number of records if the page is complete.
func (t *transaction) produce(p *page, from int) (int, error) {
	s := p.slice
	if t.counts[s] == nil {
		t.counts[s] = &counts{}
	}
	w := production{t: t, p: p, raw: newRawRecords(p, &t.c.space), n: t.counts[s], next: from}
	if !s.full {
		s.written.SetHorizon(s.horizonOf(p))
	}
	if err := s.reader.each(p, from, w.write); err != nil && !errors.Is(err, errFull) {
		return w.next, fmt.Errorf("read page %s of %s again: %w", p.id, s.key, err)
	}
	return w.next, t.tx.Err()
}

// write writes a record, if it has changed. keep says whether its bytes are valid until the page is closed.
func (w *production) write(ordinal int, rec *record, keep bool) error {
	t, s := w.t, w.p.slice
	if !t.whole && t.bytes >= t.room && t.bytes > 0 {
		return errFull
	}
	w.next = ordinal + 1
	s.reader.judge(rec, w.p)
	remember := !s.shared || rec.reason != "" // what another slice wrote last is not known here
	unchanged := remember && s.unchanged(rec, w.p)
	if s.keys != nil && rec.reason == "" && !rec.deleted {
		t.know(w.p, rec)
	}
	if unchanged {
		w.n.unchanged++
		return nil
	}
	if !keep {
		rec.value = bytes.Clone(rec.value)
	}
	field := rec.field
	if s.full {
		field = w.p.after.Pass
	}
	if remember {
		s.written.Wrote(rec.id, rec.content, field)
	}
	t.bytes += int64(len(rec.value) + len(rec.key))
	t.tx.Produce(t.ctx, w.outcome(ordinal, rec))
	return nil
}

// outcome counts a record, and makes what is written of it: a raw record, a tombstone or a dead letter.
func (w *production) outcome(ordinal int, rec *record) *kgo.Record {
	s := w.p.slice
	out := w.raw.record(ordinal, rec)
	switch {
	case rec.reason == "" && rec.deleted:
		w.n.deleted++
		w.t.unknow(s, rec.id, rec.key)
		out.Value = nil
	case rec.reason == "":
		w.n.records++
	default:
		w.n.letters++
		w.n.refused.Add(s.stream.Name, rec.step, rec.reason, recordName(w.p, ordinal, rec))
		out = letter(w.p, ordinal, rec, out)
	}
	return out
}

// horizon is the value of the incremental field below which no later pass asks for records: what the next would ask
// from if this one ended with c, as since only grows. What lies at or above it may be asked for after a crash, so it
// must be stored with the records.
func (s *slice) horizon(c cursor.Cursor) int64 {
	end := c.End(c.Started)
	return s.reader.scale.Floor(end.Since, end.Form)
}

// horizonOf is [slice.horizon] when a page is committed: of a window, that of the slice whose past it is.
func (s *slice) horizonOf(p *page) int64 {
	if s.of != nil {
		return s.of.horizon(s.of.back.last())
	}
	if s.downward() && (p.at.Index < 2 || p.before.Since != nil) {
		return math.MinInt64 // what is older than since comes again with it, on one page, or on two
	}
	return s.horizon(p.after)
}
