package ingest

import (
	"errors"
	"math/bits"
	"mime"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/pipeline"
)

// reader finds the records in the pages of a stream, and what ingest needs of them. It is read-only and may be used
// concurrently.
type reader struct {
	keys       [][]string
	fields     *cut.Fields // keys, then version, then the incremental field
	version    []string    // path; nil: there is none
	field      []string    // the incremental field's; nil: there is none
	sliceInKey int         // index in keys; -1: it is not in them
	adds       []string    // names of fields that records are given
	added      *cut.Fields // which they must not have; nil: there are none
	missing    string      // what a record without version is, as pipeline.VersionRule.Missing
	wait       bool        // for a person, where a field cannot be read
	last       *cut.Fields // the field of the last record that is wanted for pagination; nil: none
	scale      cursor.Scale
	versions   cursor.Versions
	envelope   cut.Envelope
	deletions  bool  // each record says that its key was deleted
	deleted    *stub // nil: no record says that it was deleted
	wrong      errorRule
	rules      rules
	format     string       // of the body; empty: as its Content-Type says
	arrays     *atomic.Bool // an answer of the stream was an array of objects
	nullEmpty  bool         // null in the place of the records: there are none
	stream     string
	max        int64
}

func newReader(s *pipeline.Stream, wants paginate.Wants, maxRecordBytes int32) (*reader, error) {
	in := &s.Ingest
	r := &reader{
		deletions: in.Deletions,
		stream:    s.Name, max: int64(maxRecordBytes), last: lastField(wants),
		wrong: newErrorRule(in.ErrorWhen), nullEmpty: in.NullIsEmpty,
		missing: missing(in), wait: in.Unreadable == "wait",
	}
	var err error
	if r.rules, err = newRules(in); err != nil {
		return nil, err
	}
	if r.deleted, err = newStub(in.DeletedWhen); err != nil {
		return nil, err
	}
	if r.scale, err = cursor.NewScale(in); err != nil {
		return nil, err
	}
	if r.versions, err = cursor.NewVersions(in); err != nil {
		return nil, err
	}
	// A record that is too large by less than this can still be named by its key.
	r.envelope = cut.Envelope{
		Records: in.Records, Shape: cut.Shape(in.Shape), Fields: wants.Fields, MaxRecordBytes: 4 * int64(maxRecordBytes),
	}
	r.format = in.BodyFormat
	r.sliceInKey = slices.Index(in.Key, pipeline.SliceField)
	for _, a := range in.Add {
		r.adds = append(r.adds, a.Name)
	}
	if r.adds != nil {
		r.added = cut.NewFields(names(r.adds)...)
	}
	for _, k := range in.Key {
		r.keys = append(r.keys, pipeline.PathNames(k))
	}
	paths := append([][]string(nil), r.keys...)
	if in.Version != "" {
		r.version = pipeline.PathNames(in.Version)
		paths = append(paths, r.version)
	}
	if in.Incremental != nil {
		r.field = pipeline.PathNames(in.Incremental.Field)
		paths = append(paths, r.field)
	}
	r.fields = cut.NewFields(paths...)
	if in.Paginate == (pipeline.Paginate{}) { // one object is no page of several
		keys := slices.Clone(r.keys)
		if r.sliceInKey >= 0 {
			keys = slices.Delete(keys, r.sliceInKey, r.sliceInKey+1)
		}
		keys = slices.DeleteFunc(keys, func(path []string) bool { return slices.Contains(r.adds, path[0]) })
		r.envelope.Keys = cut.NewFields(keys...)
	}
	return r, nil
}

// names are paths of one name each.
func names(list []string) [][]string {
	paths := make([][]string, len(list))
	for i, name := range list {
		paths[i] = []string{name}
	}
	return paths
}

func lastField(wants paginate.Wants) *cut.Fields {
	if wants.Last == nil {
		return nil
	}
	return cut.NewFields(wants.Last)
}

// reader is that of a stream, which its slices share.
func (in *Ingest) reader(s *pipeline.Stream, wants paginate.Wants) (*reader, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if r := in.readers[s]; r != nil {
		return r, nil
	}
	r, err := newReader(s, wants, in.p.Kafka.MaxRecordBytes)
	if err != nil {
		return nil, err
	}
	r.arrays = &in.seen[s].arrays
	in.readers[s] = r
	return r, nil
}

// missing is what a record without version is: a position that since is found from grows over all records, so that what
// is served now may have the highest; other versions may count for each record alone.
func missing(in *pipeline.Ingest) string {
	if in.Deletions { // as new as the newest deletion would be newer than what was created since
		return "letter"
	}
	if in.VersionRule.Missing == "" && in.Incremental != nil && in.Version == in.Incremental.Field && !in.SharesKeys() {
		return "newest"
	}
	return in.VersionRule.Missing
}

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
	d := newDecoder(p)
	var last, highest []byte
	each := func(ordinal int, value []byte) error {
		if r.last != nil {
			last = append(last[:0], value...)
		}
		var rec record
		if err := d.decode(ordinal, value, &rec); err != nil {
			return err
		}
		if rec.hasSource {
			p.top(rec)
		}
		p.flawed = p.flawed || rec.unreadable
		if rec.field != written.Always {
			highest = p.see(rec.field, d.field(), highest)
		}
		p.hash = mix(p.hash, rec.content)
		p.ids += rec.id
		if a.Body.Bytes() != nil && ordinal < keptRecords && r.added == nil { // what is added takes memory that is not counted
			p.records = append(p.records, rec)
		}
		return nil
	}
	got, err := r.cut(a, p.broken, "", each)
	if p.takes(err) {
		return r.readBut(a, p)
	}
	if err = r.verdict(a, &got, err); err != nil {
		return err
	}
	p.seen.Form = r.scale.Form(highest)
	if len(p.records) < got.Records || !a.Body.Hold(int64(cap(p.records))*recordBytes) {
		p.records = nil
	}
	if p.guessed = got.Shape; r.arrays != nil && got.Shape == "" && got.Records > 0 {
		r.arrays.Store(true)
	}
	p.summary.Records, p.summary.Fields, p.summary.Rest = got.Records, got.Fields, got.Rest
	if r.last != nil && last != nil {
		var found [1]jsontext.Value
		r.last.Find(last, found[:])
		p.summary.Last = found[0]
	}
	return nil
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

// cut cuts an answer; guessed is what its records were taken for before.
func (r *reader) cut(
	a *fetch.Answer, broken []cut.SyntaxError, guessed string, each func(int, []byte) error,
) (cut.Answer, error) {
	e := r.envelope
	if r.arrays != nil && r.arrays.Load() || guessed != "" {
		e.Keys = nil // where there were arrays, an object is none of the records
	}
	if guessed != "" {
		e.Shape.Kind = guessed
	}
	e.Lines = r.lines(a)
	if e.Shape.Columns != nil {
		if err := r.columns(a, &e); err != nil {
			return cut.Answer{}, err
		}
	}
	if mem := a.Body.Bytes(); mem != nil {
		return cut.BytesBut(mem, &e, broken, each)
	}
	return cut.Reader(a.Body.Reader(), &e, each)
}

// columns looks for the names of the values of rows, which may stand behind them.
func (r *reader) columns(a *fetch.Answer, e *cut.Envelope) error {
	look := cut.Envelope{Shape: cut.Shape{Kind: pipeline.ShapeArray}, Fields: [][]string{e.Shape.Columns}, MaxRecordBytes: e.MaxRecordBytes, Records: e.Records}
	var found cut.Answer
	var err error
	if mem := a.Body.Bytes(); mem != nil {
		found, err = cut.Bytes(mem, &look, nil)
	} else {
		found, err = cut.Reader(a.Body.Reader(), &look, nil)
	}
	if err == nil {
		e.Columns = found.Fields[0]
	}
	return err
}

// lines reports whether an answer is one record after the other.
func (r *reader) lines(a *fetch.Answer) bool {
	if a.Was != "" {
		return a.Was == wasCSV || a.Was == wasEvents
	}
	if r.format != "" || len(r.envelope.Records) > 0 || r.envelope.Shape.Kind == pipeline.ShapeMap || r.envelope.Shape.Kind == pipeline.ShapeObject {
		return r.format == "ndjson"
	}
	kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	return slices.Contains(linesTypes, kind)
}

// linesTypes are the media types of NDJSON, of which none is registered.
var linesTypes = []string{
	"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonl", "application/jsonlines",
	"application/x-jsonlines", "application/json-lines", "application/stream+json", "application/x-json-stream",
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

// tooLarge names the setting for what the cutter found too large.
func (r *reader) tooLarge(err error) error {
	if e, ok := errors.AsType[*cut.TooLargeError](err); ok {
		return &RecordTooLargeError{Stream: r.stream, Ordinal: e.Ordinal, Bytes: e.Bytes, AtLeast: e.AtLeast, Max: r.max}
	}
	return err
}
