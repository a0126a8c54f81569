package ingest

import (
	"errors"
	"mime"
	"slices"
	"sync/atomic"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/paginate"
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
		missing: missing(in), wait: in.Unreadable == "wait", format: in.BodyFormat,
		// A record that is too large by less than this can still be named by its key.
		envelope: cut.Envelope{
			Records: in.Records, Shape: cut.Shape(in.Shape), Fields: wants.Fields, MaxRecordBytes: 4 * int64(maxRecordBytes),
		},
	}
	if err := r.compile(in); err != nil {
		return nil, err
	}
	r.find(in)
	return r, nil
}

// compile makes the rules that a record is read by.
func (r *reader) compile(in *pipeline.Ingest) error {
	var err error
	if r.rules, err = newRules(in); err != nil {
		return err
	}
	if r.deleted, err = newStub(in.DeletedWhen); err != nil {
		return err
	}
	if r.scale, err = cursor.NewScale(in); err != nil {
		return err
	}
	r.versions, err = cursor.NewVersions(in)
	return err
}

// find says which fields of a record are looked for.
func (r *reader) find(in *pipeline.Ingest) {
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
		r.envelope.Keys = cut.NewFields(r.ownKeys()...)
	}
}

// ownKeys are the fields of the key that the record itself has.
func (r *reader) ownKeys() [][]string {
	keys := slices.Clone(r.keys)
	if r.sliceInKey >= 0 {
		keys = slices.Delete(keys, r.sliceInKey, r.sliceInKey+1)
	}
	return slices.DeleteFunc(keys, func(path []string) bool { return slices.Contains(r.adds, path[0]) })
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

// tooLarge names the setting for what the cutter found too large.
func (r *reader) tooLarge(err error) error {
	if e, ok := errors.AsType[*cut.TooLargeError](err); ok {
		return &RecordTooLargeError{Stream: r.stream, Ordinal: e.Ordinal, Bytes: e.Bytes, AtLeast: e.AtLeast, Max: r.max}
	}
	return err
}
