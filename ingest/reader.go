package ingest

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// reader finds the records in the pages of a stream, and what ingest needs of them. It is read-only and may be used concurrently.
type reader struct {
	keys       [][]string
	fields     *cut.Fields // keys, then version, then the incremental field
	version    bool
	field      bool
	lastRecord bool // is wanted for pagination
	scale      cursor.Scale
	envelope   cut.Envelope
	stream     string
	max        int64
}

func newReader(s *pipeline.Stream, wants paginate.Wants, maxRecordBytes int32) *reader {
	in := &s.Ingest
	r := &reader{
		stream: s.Name, max: int64(maxRecordBytes), lastRecord: wants.LastRecord, scale: cursor.NewScale(in.Incremental),
	}
	// A record that is too large by less than this can still be named by its key.
	r.envelope = cut.Envelope{Records: in.Records, Fields: wants.Fields, MaxRecordBytes: 4 * int64(maxRecordBytes)}
	for _, k := range in.Key {
		r.keys = append(r.keys, pipeline.PathNames(k))
	}
	paths := append([][]string(nil), r.keys...)
	if r.version = in.Version != ""; r.version {
		paths = append(paths, pipeline.PathNames(in.Version))
	}
	if r.field = in.Incremental != nil; r.field {
		paths = append(paths, pipeline.PathNames(in.Incremental.Field))
	}
	r.fields = cut.NewFields(paths...)
	return r
}

// keptRecords is how many records of a page are kept as they were read, if there is memory for recordBytes each.
const (
	keptRecords = 10_000
	recordBytes = int64(unsafe.Sizeof(record{}))
)

// read checks an answer to its last byte and reads its records. Its errors are the answer's, but for records that
// are too large: see [RecordTooLargeError].
func (r *reader) read(a *fetch.Answer, p *page) error {
	p.answer = a
	p.hash = xxh3.Uint128{}
	p.high = nil
	p.records = p.records[:0]
	d := decoder{r: r, values: make([]jsontext.Value, len(r.keys)+2), extra: headerBytes + len(p.url) + len(p.slice.name)}
	var last []byte
	each := func(ordinal int, value []byte) error {
		if r.lastRecord {
			last = append(last[:0], value...)
		}
		var rec record
		if err := d.decode(ordinal, value, &rec); err != nil {
			return err
		}
		if rec.field != written.Always && (p.high == nil || rec.field > *p.high) {
			high := rec.field
			p.high = &high
		}
		p.hash = mix(p.hash, rec.content)
		if a.Body.Bytes() != nil && ordinal < keptRecords {
			p.records = append(p.records, rec)
		}
		return nil
	}
	got, err := r.cut(a.Body, each)
	if err != nil {
		return r.tooLarge(err)
	}
	if len(p.records) < got.Records || !a.Body.Hold(int64(cap(p.records))*recordBytes) {
		p.records = nil
	}
	p.summary = paginate.Page{
		Records: got.Records, Fields: got.Fields, LastRecord: last, URL: a.URL, Header: a.Header, Strip: p.slice.client.Strip,
	}
	return nil
}

func (r *reader) cut(b *fetch.Body, each func(int, []byte) error) (cut.Answer, error) {
	if mem := b.Bytes(); mem != nil {
		return cut.Bytes(mem, &r.envelope, each)
	}
	return cut.Reader(b.Reader(), &r.envelope, each)
}

func mix(h, c xxh3.Uint128) xxh3.Uint128 {
	const k = 0x9E3779B97F4A7C15
	return xxh3.Uint128{Hi: (h.Hi^c.Hi)*k + 1, Lo: (h.Lo^c.Lo)*k + h.Hi}
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
	d := decoder{r: r, values: make([]jsontext.Value, len(r.keys)+2), extra: headerBytes + len(p.url) + len(p.slice.name)}
	keep := p.answer.Body.Bytes() != nil
	_, err := r.cut(p.answer.Body, func(ordinal int, value []byte) error {
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

// headerBytes is what headers and the record format add to key, value, URL and slice, generously.
const headerBytes = 400

// decoder reads the few fields of records that ingest needs.
type decoder struct {
	r      *reader
	values []jsontext.Value
	keys   []byte // where the keys of a page lie, in pieces
	extra  int
}

const keyPiece = 4 << 10

func (d *decoder) decode(ordinal int, value []byte, rec *record) error {
	d.r.fields.Find(value, d.values[:d.r.fields.Len()])
	n := len(d.r.keys)
	rec.value, rec.field = value, written.Always
	rec.content = xxh3.Hash128(value)
	rest := d.values[n:]
	if d.r.version {
		rec.source, rec.hasSource = cursor.Version(rest[0])
		rest = rest[1:]
	}
	if d.r.field {
		if v, ok := d.r.scale.Value(rest[0]); ok {
			rec.field = v
		}
	}
	if rec.reason = d.unfit(d.values[:n]); rec.reason == "" {
		if cap(d.keys)-len(d.keys) < 256 {
			d.keys = make([]byte, 0, keyPiece)
		}
		start := len(d.keys)
		keys, err := topics.AppendKey(d.keys, d.values[:n]...)
		if err != nil {
			rec.reason = "the key is not valid text: " + err.Error()
		} else {
			d.keys = keys
			rec.key = keys[start:len(keys):len(keys)]
		}
	}
	rec.id = xxh3.Hash128(rec.key)
	if rec.key == nil { // known by its bytes, so that it is not sent again and again
		rec.id = xxh3.Hash128Seed(value, 1)
	}
	if size := int64(len(value) + len(rec.key) + len(rec.reason) + d.extra); size > d.r.max {
		return &RecordTooLargeError{Stream: d.r.stream, Key: string(rec.key), Ordinal: ordinal, Bytes: size, Max: d.r.max}
	}
	return nil
}

// unfit says what is wrong with the values of the key; empty: nothing.
func (d *decoder) unfit(values []jsontext.Value) string {
	for i, v := range values {
		name := pipeline.FormatPath(d.r.keys[i])
		if v == nil {
			return fmt.Sprintf("the key field %q is missing", name)
		}
		switch v.Kind() {
		case 'n':
			return fmt.Sprintf("the key field %q is null", name)
		case '{', '[':
			return fmt.Sprintf("the key field %q is an object or array", name)
		}
	}
	return ""
}

// tooLarge names the setting for what the cutter found too large.
func (r *reader) tooLarge(err error) error {
	if e, ok := errors.AsType[*cut.TooLargeError](err); ok {
		return &RecordTooLargeError{Stream: r.stream, Ordinal: e.Ordinal, Bytes: e.Bytes, AtLeast: e.AtLeast, Max: r.max}
	}
	return err
}
