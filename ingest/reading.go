package ingest

import (
	"math/bits"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/ingest/written"
)

// keptRecords is how many records of a page are kept as they were read, if there is memory for recordBytes each.
const (
	keptRecords = 10_000
	recordBytes = int64(unsafe.Sizeof(record{}))
)

// read checks an answer to its last byte and reads its records. Its errors are the answer's, but for records that
// cannot be taken: see [RecordTooLargeError] and [UnreadableError].
func (r *reader) read(a *fetch.Answer, p *page) error {
	p.broken = nil
	return r.readBut(a, p)
}

// readBut is read where the records in p.broken are no JSON.
func (r *reader) readBut(a *fetch.Answer, p *page) error {
	p.answer = a
	p.hash, p.ids = xxh3.Uint128{}, 0
	p.seen, p.flawed = cursor.Seen{Clock: a.Clock}, false
	p.records = p.records[:0]
	p.summary = paginate.Page{URL: a.URL, Header: a.Header, Asked: p.asked, Strip: p.slice.client.Strip}
	if a.Nothing != 0 {
		p.summary.Nothing, p.summary.PastEnd, p.summary.Skipped, p.records = a.Nothing, a.PastEnd, a.Skipped, nil
		return nil
	}
	read := reading{r: r, p: p, d: newDecoder(p), keep: a.Body.Bytes() != nil && r.added == nil}
	if read.keep && p.records == nil {
		p.records = make([]record, 0, p.slice.likely(a.Body.Size()))
	}
	got, err := r.cut(a, p.broken, "", read.record)
	if p.takes(err) {
		return r.readBut(a, p)
	}
	if err = r.verdict(a, &got, err); err != nil {
		return err
	}
	read.end(&got)
	return nil
}

// reading is one walk over the records of a page, which notes what they say of the page.
type reading struct {
	r       *reader
	p       *page
	d       decoder
	keep    bool   // records are kept as they were read: what is added to them takes memory that is not counted
	last    []byte // the last record, if pagination wants a field of it
	highest []byte // how the highest value of the incremental field is written
}

// record reads a record.
func (x *reading) record(ordinal int, value []byte) error {
	p := x.p
	if x.r.last != nil {
		x.last = append(x.last[:0], value...)
	}
	var rec record
	if err := x.d.decode(ordinal, value, &rec); err != nil {
		return err
	}
	if rec.hasSource {
		p.top(rec)
	}
	p.flawed = p.flawed || rec.unreadable
	if rec.field != written.Always {
		x.highest = p.see(rec.field, x.d.field(), x.highest)
	}
	p.hash = mix(p.hash, rec.content)
	p.ids += rec.id
	if x.keep && ordinal < keptRecords {
		p.records = append(p.records, rec)
	}
	return nil
}

// end notes what the whole answer says.
func (x *reading) end(got *cut.Answer) {
	r, p := x.r, x.p
	p.seen.Form = r.scale.Form(x.highest)
	if len(p.records) < got.Records || !p.answer.Body.Hold(int64(cap(p.records))*recordBytes) {
		p.records = nil
	}
	if p.guessed = got.Shape; r.arrays != nil && got.Shape == "" && got.Records > 0 {
		r.arrays.Store(true)
	}
	if got.Records > 0 {
		p.slice.recordSize.Store(p.answer.Body.Size() / int64(got.Records))
	}
	p.summary.Records, p.summary.Fields, p.summary.Rest = got.Records, got.Fields, got.Rest
	if r.last != nil && x.last != nil {
		var found [1]jsontext.Value
		r.last.Find(x.last, found[:])
		p.summary.Last = found[0]
	}
}

// likely is how many records a page of so many bytes may have, a few more rather than less: as many for its size as the
// page before.
func (s *slice) likely(bytes int64) int64 {
	size := s.recordSize.Load()
	if size == 0 {
		return 0
	}
	n := bytes / size
	return min(n+n/8+1, keptRecords)
}

// top notes a version.
func (p *page) top(rec record) {
	switch seen := &p.seen; {
	case seen.Top == nil:
		seen.Top, seen.TopKind = &rec.source, rec.kind
	case seen.TopKind == rec.kind:
		*seen.Top = max(*seen.Top, rec.source)
	}
}

// see notes a value of the incremental field, and returns how the highest so far is written.
func (p *page) see(n int64, text jsontext.Value, highest []byte) []byte {
	seen := &p.seen
	if seen.High == nil {
		low, high, last := n, n, n
		seen.Low, seen.High, seen.Last = &low, &high, &last
		return append(highest, text...)
	}
	seen.Ascends = seen.Ascends || n > *seen.Last
	*seen.Last = n
	*seen.Low = min(*seen.Low, n)
	if n < *seen.High {
		seen.Mixed = true
		return highest
	}
	*seen.High = n
	return append(highest[:0], text...)
}

func mix(h xxh3.Uint128, c uint64) xxh3.Uint128 {
	const k = 0x9E3779B97F4A7C15
	return xxh3.Uint128{Hi: (h.Hi^c)*k + 1, Lo: (h.Lo^bits.RotateLeft64(c, 32))*k + h.Hi}
}

// each calls f for the records from ordinal on. keep says whether the bytes of a record are valid until the page is
// closed.
func (r *reader) each(p *page, from int, f func(ordinal int, rec *record, keep bool) error) error {
	if p.records != nil || p.summary.Records == 0 {
		for i := from; i < len(p.records); i++ {
			if err := f(i, &p.records[i], true); err != nil {
				return err
			}
		}
		return nil
	}
	d := newDecoder(p)
	keep := p.answer.Body.Bytes() != nil
	_, err := r.cut(p.answer, p.broken, p.guessed, func(ordinal int, value []byte) error {
		if ordinal < from {
			return nil
		}
		var rec record
		if err := d.decode(ordinal, value, &rec); err != nil {
			return err
		}
		return f(ordinal, &rec, keep)
	})
	return err
}
