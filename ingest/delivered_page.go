package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/fetch"
)

// deliveredPage is the records of a delivery that are of one stream.
type deliveredPage struct {
	*page

	of     *delivered
	counts counts
}

// page makes the records of a delivery. An error is the delivery's: it cannot be taken.
func (s *delivered) page(in *Ingest, d *delivery) (*deliveredPage, []*kgo.Record, *refusal) {
	body, err := in.memory.Receive(bytes.NewReader(d.body), int64(len(d.body)))
	if err != nil {
		return nil, nil, refuse(http.StatusServiceUnavailable, "memory", errors.New("there is no room for it"))
	}
	u := hookURL(s.hook.Path)
	now := time.Now()
	a := &fetch.Answer{Body: body, Status: http.StatusOK, URL: u, Header: http.Header{"Content-Type": {"application/json"}}, Time: now, Clock: now}
	p := &deliveredPage{page: &page{slice: s.slice, answer: a, asked: u, url: u.String(), id: d.pageID()}, of: s}
	if err := s.reader.read(a, p.page); err != nil {
		return p, nil, refuse(http.StatusBadRequest, "records", fmt.Errorf("stream %s: %w", s.stream.Name, err))
	}
	lowest := int64(-1 << 63)
	p.after.Top, p.after.TopKind = &lowest, s.kindOf(p.seen.TopKind)
	raw := newRawRecords(p.page, &rawSpace{})
	var out []*kgo.Record
	err = s.reader.each(p.page, 0, func(ordinal int, rec *record, _ bool) error {
		if s.wasWritten(d, ordinal) {
			return nil
		}
		if rec.deleted = rec.deleted || slices.Contains(s.hook.Deletes, d.kind); rec.deleted {
			s.dateDeletion(rec, now)
		}
		s.reader.judge(rec, p.page)
		rec.value = bytes.Clone(rec.value)
		out = append(out, p.outcome(ordinal, rec, raw.record(ordinal, rec)))
		return nil
	})
	if err != nil {
		return p, nil, refuse(http.StatusBadRequest, "records", fmt.Errorf("stream %s: %w", s.stream.Name, err))
	}
	return p, out, nil
}

// dateDeletion gives a deleted record without version one, if it can: what was deleted often keeps nothing but its key.
func (s *delivered) dateDeletion(rec *record, now time.Time) {
	switch {
	case rec.hasSource || s.reader.version == nil:
	case s.reader.versions.Times():
		rec.source, rec.kind, rec.hasSource = now.UnixNano(), cursor.Time, true
	default:
		rec.refuse("ingest.version", "the record was deleted, and has no version: whether it is newer than others is not known, "+
			"unless versions are times (version.as: time)")
	}
}

// outcome counts a record, and makes what is written of it from its raw record.
func (p *deliveredPage) outcome(ordinal int, rec *record, raw *kgo.Record) *kgo.Record {
	switch {
	case rec.reason != "":
		p.counts.letters++
		p.counts.refused.Add(p.of.stream.Name, rec.step, rec.reason, recordName(p.page, ordinal, rec))
		return letter(p.page, ordinal, rec, raw)
	case rec.deleted:
		p.counts.deleted++
		raw.Value = nil
	default:
		p.counts.records++
	}
	return raw
}

// pageID names a delivery: by its id, or by its content.
func (d *delivery) pageID() string {
	if d.named() {
		return "webhook." + d.id
	}
	return fmt.Sprintf("webhook.%016x", xxh3.Hash(d.body))
}

// kindOf is the kind of the first version of the stream in this process: others are not compared with it.
func (s *delivered) kindOf(k cursor.Kind) cursor.Kind {
	if k != cursor.NoVersion {
		s.kind.CompareAndSwap(int32(cursor.NoVersion), int32(k))
	}
	return cursor.Kind(s.kind.Load())
}

// count tells of a delivery that is durable.
func (p *deliveredPage) count() {
	in := p.of.in
	p.of.metrics.records.Add(float64(p.counts.records))
	p.of.metrics.deleted.Add(float64(p.counts.deleted))
	p.of.metrics.deadLetters.Add(float64(p.counts.letters))
	in.progress.Add(p.of.stream.Name, time.Time{}, p.counts.records, 0, p.counts.letters)
	in.refusals.Committed(&p.counts.refused, in.letters)
}
