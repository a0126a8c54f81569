package ingest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// headerBytes is what headers and the record format add to key, value, URL and slice, generously.
const headerBytes = 400

// decoder reads the few fields of a page's records that ingest needs.
type decoder struct {
	r      *reader
	values []jsontext.Value // of the reader's fields, for the record in hand
	keys   []byte           // where the keys of a page lie, in pieces
	piece  int              // bytes of one
	slice  jsontext.Value   // the slice's name, if it is in the key
	extra  int
	page   *page
	stub   *stubReader // nil: no record says that it was deleted
}

func newDecoder(p *page) decoder {
	r := p.slice.reader
	return decoder{
		stub: r.deleted.reader(),
		r:    r, page: p, slice: p.slice.quoted, values: make([]jsontext.Value, r.fields.Len()),
		extra: headerBytes + len(p.url) + len(p.slice.name),
		piece: p.keyPiece(),
	}
}

// A piece is for all keys of a small page, or for some of a large one.
const (
	leastPiece = 1 << 10
	mostPiece  = 4 << 10
	likelyKey  = 48  // bytes
	leastLeft  = 256 // of a piece, for a key: a longer one may be moved
)

// keyPiece is the size of a piece for the keys of p.
func (p *page) keyPiece() int {
	n := p.slice.likely(p.answer.Body.Size())
	if n == 0 {
		return mostPiece
	}
	return int(min(max(leastLeft+likelyKey*n, leastPiece), mostPiece))
}

// The values of the version and of the incremental field lie behind those of the key.
func (d *decoder) version() jsontext.Value { return d.values[len(d.r.keys)] }
func (d *decoder) field() jsontext.Value   { return d.values[len(d.values)-1] }

// decode reads a record. It has an error where the page cannot be taken because of it.
func (d *decoder) decode(ordinal int, value []byte, rec *record) error {
	value, why := d.addFields(value)
	d.r.fields.Find(value, d.values)
	if d.r.sliceInKey >= 0 {
		d.values[d.r.sliceInKey] = d.slice
	}
	rec.value, rec.field = value, written.Always
	if why != "" {
		rec.refuse("ingest.add", why)
	}
	if why := d.page.breaks(ordinal); why != "" {
		rec.refuse("ingest.records", why)
		rec.unreadable = true
	}
	d.key(rec)
	d.stub.read(value, rec)
	rec.deleted = rec.deleted || d.r.deletions
	if !rec.unreadable {
		if err := d.revision(ordinal, rec); err != nil {
			return err
		}
	}
	rec.content = xxh3.Hash128(value).Lo
	rec.id = xxh3.Hash128(rec.key).Lo
	if rec.key == nil { // known by its bytes, so that it is not sent again and again
		rec.id = xxh3.Hash128Seed(value, 1).Lo
	}
	d.fit(ordinal, rec)
	return nil
}

// addFields puts the fields of ingest.add before those of a record; why says that it cannot have them.
func (d *decoder) addFields(value []byte) (with []byte, why string) {
	added := d.page.slice.added
	if added == nil || d.r.added == nil {
		return value, ""
	}
	rest := bytes.TrimLeft(value, " \t\r\n")
	if len(rest) == 0 || rest[0] != '{' {
		return value, "the record is no object, so that it cannot be given fields"
	}
	found := make([]jsontext.Value, d.r.added.Len())
	d.r.added.Find(value, found)
	for i, v := range found {
		if v != nil {
			return value, fmt.Sprintf("the record has a field %q of its own: give the added one another name", d.r.adds[i])
		}
	}
	rest = rest[1:]
	with = append(make([]byte, 0, len(added)+1+len(rest)), added...)
	if inner := bytes.TrimLeft(rest, " \t\r\n"); len(inner) > 0 && inner[0] != '}' {
		with = append(with, ',')
	}
	return append(with, rest...), ""
}

// key makes the raw key.
func (d *decoder) key(rec *record) {
	values := d.values[:len(d.r.keys)]
	if why := d.unfit(values); why != "" {
		rec.refuse("ingest.key", why)
		return
	}
	if cap(d.keys)-len(d.keys) < leastLeft {
		d.keys = make([]byte, 0, d.piece)
	}
	start := len(d.keys)
	keys, err := topics.AppendKey(d.keys, values...)
	if err != nil {
		rec.refuse("ingest.key", "the key is not valid text: "+err.Error())
		return
	}
	d.keys = keys
	rec.key = keys[start:len(keys):len(keys)]
}

// unfit says what is wrong with the values of the key; empty: nothing.
func (d *decoder) unfit(values []jsontext.Value) string {
	for i, v := range values {
		is := ""
		switch {
		case v == nil || len(d.page.broken) > 0 && !v.IsValid():
			is = "missing"
		case v.Kind() == 'n':
			is = "null"
		case v.Kind() == '{' || v.Kind() == '[':
			is = "an object or array"
		}
		if is != "" {
			return fmt.Sprintf("the key field %q is %s", pipeline.FormatPath(d.r.keys[i]), is)
		}
	}
	return ""
}

// revision reads the version and the incremental field.
func (d *decoder) revision(ordinal int, rec *record) error {
	if d.r.version != nil {
		var err error
		v := d.version()
		rec.source, rec.kind, err = d.r.versions.Read(v)
		rec.hasSource = err == nil
		if err != nil && !cursor.Absent(v) {
			return d.unreadable(ordinal, rec, "version", d.r.version, v, err)
		}
	}
	if d.r.field == nil {
		return nil
	}
	v := d.field()
	n, err := d.r.scale.Value(v)
	switch {
	case err == nil:
		rec.field = n
	case !cursor.Absent(v):
		return d.unreadable(ordinal, rec, "incremental.field", d.r.field, v, err)
	}
	return nil
}

// unreadable makes a dead letter of a record with a value that cannot be read, or an error of its page.
func (d *decoder) unreadable(ordinal int, rec *record, key string, path []string, v jsontext.Value, err error) error {
	if d.r.wait {
		return &UnreadableError{Setting: "ingest." + key, Field: pipeline.FormatPath(path), Ordinal: ordinal, Err: err}
	}
	rec.hasSource, rec.field, rec.unreadable = false, written.Always, true
	rec.refuse("ingest."+key, fmt.Sprintf("the field %q, %.80s, %s", pipeline.FormatPath(path), v, err))
	return nil
}

// refuse makes a dead letter of the record, unless it is one.
func (rec *record) refuse(step, reason string) {
	if rec.reason == "" {
		rec.step, rec.reason = step, reason
	}
}

// refusedContent makes the content of a letter another one than that of the record when it is taken.
const refusedContent = 0x9E3779B97F4A7C15

// judge decides what becomes of a record without version, and which records are dead letters. Without a version it
// would be taken for older than all with one, and vanish.
func (r *reader) judge(rec *record, p *page) {
	if rec.judged {
		return
	}
	rec.judged = true
	if top := p.after.Top; r.version != nil && top != nil && !rec.hasSource && rec.reason == "" {
		switch {
		case rec.deleted && !r.deletions && r.past(*top, p): // what was deleted often keeps nothing but its key
			rec.source, rec.hasSource = *top, true
		case r.missing == "oldest":
		case r.missing == "newest" && r.past(*top, p):
			rec.source, rec.hasSource = *top, true
		default:
			rec.refuse("ingest.version", r.unversioned())
		}
	}
	if rec.hasSource && rec.kind != cursor.NoVersion && rec.kind != p.after.TopKind {
		rec.refuse("ingest.version", fmt.Sprintf("the versions in the field %q were %s so far, and this one is none of them: "+
			"version.as says how both are read", pipeline.FormatPath(r.version), p.after.TopKind))
	}
	if rec.reason != "" && rec.key != nil { // once it is no letter any more, it is new
		rec.content ^= refusedContent
	}
}

func (r *reader) unversioned() string {
	name := pipeline.FormatPath(r.version)
	if r.missing == "newest" {
		return fmt.Sprintf("the record has no version, and cannot count as the newest: others have a time to come in the field %q",
			name)
	}
	return fmt.Sprintf("the record has no version: the field %q is missing or null, and other records have it; "+
		"version.missing: oldest takes it for older than all with one, newest for as new as the newest so far, "+
		"and version: none orders records as they come", name)
}

// past reports whether a version is no time to come: what took such a version would be the newest of its key until
// then.
func (r *reader) past(version int64, p *page) bool {
	if !r.versions.Times() {
		return true
	}
	now := p.seen.Clock.Add(time.Minute)
	if p.seen.Clock.IsZero() {
		now = p.answer.Time.Add(time.Hour)
	}
	if r.scale.Doubtful(p.after.HighOf) || r.scale.Doubtful(p.after.Form) {
		now = now.Add(24 * time.Hour)
	}
	return version <= now.UnixNano()
}
