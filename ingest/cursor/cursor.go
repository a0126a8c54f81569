package cursor

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/pipeline"
)

// version is the version of the format.
const version = 1

// Cursor is where a slice is in its API. It is committed with the records up to it.
type Cursor struct {
	Version int `json:"v"` // 0: the slice was never fetched
	// hash of what the positions of the pass depend on in the pipeline file
	Request string    `json:"request"`
	Pass    int64     `json:"pass"`            // number of the pass, from 1
	Started time.Time `json:"started"`         // start of the pass
	Kind    string    `json:"kind"`            // of Since and High: see [Scale.Kind]
	Field   string    `json:"field,omitempty"` // path of the incremental field; empty: not known
	Since   *int64    `json:"since,omitempty"`
	// of a window: what it ends before; nil: the pass asks for all from Since on
	Until   *int64    `json:"-"`
	Windows *Windows  `json:"windows,omitempty"`   // of before Since; nil: all of it is fetched
	Form    Form      `json:"form,omitempty"`      // how the field is written that Since comes from
	Clock   time.Time `json:"clock,omitzero"`      // the API's, as the pass began, or before; zero: not known
	High    *int64    `json:"high,omitempty"`      // highest value of the incremental field seen in the pass
	HighOf  Form      `json:"high_form,omitempty"` // how that was written
	First   *int64    `json:"first,omitempty"`     // High after the first page
	Mixed   bool      `json:"mixed,omitempty"`     // the values seen in the pass did not come in ascending order
	Top     *int64    `json:"top,omitempty"`       // highest version seen in the slice; nil: none
	TopKind Kind      `json:"top_kind,omitempty"`  // of the first version seen in the slice
	TopRule string    `json:"top_rule,omitempty"`  // how versions were read, see [Versions.Rule]
	Shared  bool      `json:"shared,omitempty"`    // what was written is not remembered: others write it too
	// what leads to the next page, once an answer had it: see [paginate.Leader]
	Shown string `json:"shown,omitempty"`
	// from which the next pass goes on, see [paginate.Keeper]; empty: it begins again
	Kept   string `json:"kept,omitempty"`
	KeptOf string `json:"kept_of,omitempty"` // hash of the request that it was given for
	// number of the last pass that fetched all that the API showed
	Fetched   int64             `json:"fetched,omitempty"`
	Validator Validator         `json:"validator,omitzero"` // of the only page of the pass before
	Next      paginate.Position `json:"next"`               // the page after the last committed one
	// how much of the page Next is committed already; nil: nothing
	Partial *Partial  `json:"part,omitempty"`
	Done    bool      `json:"done"` // the pass has ended
	Ended   time.Time `json:"ended,omitzero"`
	// something spoke against the end of the last pass that asked for everything
	Doubt bool `json:"doubt,omitempty"`
	// segment of what was written that counts, see [written.Log.Oldest]
	Oldest uint64 `json:"oldest,omitempty"`
	Known  *Known `json:"known,omitempty"` // what complete reads have shown; nil: they delete nothing
	Whole  bool   `json:"whole,omitempty"` // the pass asks for everything, whatever Since is
	// id of the raw topic that has what was fetched, hexadecimal; empty: not known
	Raw string `json:"raw,omitempty"`
	// of the record that the slice is made from; nil: it is made from none. Not changed once it is set
	Child *Child `json:"child,omitempty"`

	// how pages follow one another, as a first page has shown; nil: it is declared, or not known
	Auto *pipeline.Paginate `json:"auto,omitempty"`
}

// Child says what the slice of a child stream knows of its parent's record. Revisions are numbers that grow with each
// time that the record was written; 0 is none.
type Child struct {
	Partition int32 `json:"partition"`       // of the parent's raw topic
	Want      int64 `json:"want"`            // revision that was seen last
	Begun     int64 `json:"begun,omitempty"` // for which the pass was begun
	Done      int64 `json:"ended,omitempty"` // for which the last pass was begun that has ended
	// of the record, that requests are made with, by placeholder
	Fields map[string]json.RawMessage `json:"fields,omitempty"`
	Gone   bool                       `json:"gone,omitempty"` // the record was deleted
}

// Validator says what the only page of a pass was (RFC 9110, section 8.8), so that the next pass may ask whether it has
// changed. At most one of ETag and Modified is set.
type Validator struct {
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"` // as the header Last-Modified had it
	Of       string `json:"of,omitempty"`       // Request of the pass that may ask
}

// Partial says how far a page is that commits in several transactions.
type Partial struct {
	Ordinal int    `json:"ordinal"` // of the next record
	Hash    string `json:"hash"`    // of the page, in hexadecimal digits
}

// Start is the cursor of a slice that was never fetched.
func Start(kind string) Cursor { return Cursor{Version: version, Kind: kind, Done: true} }

// Begin is the start, at a time, of the pass after c, whose first page is first. The caller sets Request.
func (c Cursor) Begin(at time.Time, first paginate.Position) Cursor {
	return Cursor{
		Version: version, Pass: c.Pass + 1, Started: stamp(at), Kind: c.Kind, Field: c.Field, Since: c.Since, Form: c.Form, Top: c.Top, TopKind: c.TopKind, TopRule: c.TopRule,
		Shared: c.Shared, Shown: c.Shown, Auto: c.Auto, Kept: c.Kept, KeptOf: c.KeptOf, Fetched: c.Fetched, Validator: c.Validator, Next: first, Doubt: c.Doubt && c.goesOn(),
		Raw: c.Raw, Child: c.Child, Known: c.Known.begin(),
	}
}

// Back is c set back: the pass after it has the number pass+1, is due at once, and asks from since; nil: for
// everything. What was written before is forgotten if oldest is above its segments. kind is the scale's, see
// [Scale.Kind], field the path of the incremental field, if since is not nil.
func (c Cursor) Back(pass int64, kind, field string, since *int64, oldest uint64) Cursor {
	back := Cursor{
		Version: version, Pass: pass, Kind: kind, Field: field, Since: since, Top: c.Top, TopKind: c.TopKind, TopRule: c.TopRule,
		Shared: c.Shared, Shown: c.Shown, Done: true, Oldest: oldest, Raw: c.Raw,
	}
	if c.Child != nil {
		child := *c.Child
		child.Begun, child.Done = 0, 0 // the pass after it is due
		back.Child = &child
	}
	if since != nil {
		back.Form = c.Form
	}
	if c.Known != nil {
		known := *c.Known
		known.Base = pass + 1
		back.Known = &known
	}
	return back
}

// goesOn reports whether the pass of c asks only for what has changed since one that asked for everything.
func (c Cursor) goesOn() bool { return c.Since != nil || c.Kept != "" }

// Complete reports whether all that the API shows was fetched in passes above a number, before which the cursor was set
// [Cursor.Back] to the start.
func (c Cursor) Complete(pass int64) bool {
	return c.Pass > pass && !c.Doubt && c.Windows == nil && (c.Done || c.goesOn())
}

// Compare is c for a stream whose versions are read by a rule: those that were read by another do not count.
func (c Cursor) Compare(rule string) Cursor {
	if c.TopRule != rule {
		c.Top, c.TopKind, c.TopRule = nil, NoVersion, rule
	}
	return c
}

// Seen is what a page has shown.
type Seen struct {
	Clock     time.Time // the API's, when the page was asked for, or before; zero: not known
	Low, High *int64    // lowest and highest value of the incremental field; nil: no record has one
	Form      Form      // how High is written
	Mixed     bool      // the values are not in ascending order
	Last      *int64    // value of the last record that has one
	Ascends   bool      // a value is higher than the one before it
	Top       *int64    // highest version; nil: no record has one
	TopKind   Kind      // of the first version
}

// See is c after a page of its pass; first says that it is the first one.
func (c Cursor) See(p Seen, first bool) Cursor {
	if first {
		c.Clock, c.First = p.Clock.UTC(), p.High
	}
	if c.TopKind == NoVersion {
		c.TopKind = p.TopKind
	}
	if c.Top == nil || p.Top != nil && *p.Top > *c.Top && c.TopKind == p.TopKind {
		c.Top = p.Top
	}
	if p.High == nil {
		return c
	}
	c.Mixed = c.Mixed || p.Mixed || c.High != nil && *p.Low < *c.High
	if c.High == nil || *p.High > *c.High {
		c.High, c.HighOf = p.High, p.Form
	}
	return c
}

// ClockDoubt is how far ahead of the API our clock may be, where the API does not tell its own.
const ClockDoubt = time.Hour

// bound is the highest value to which Since may move: what changes after it may be on a page that was fetched before.
// Of times, that is when the pass began, by the API's clock. Of integers that came in ascending order it is the highest
// of all: what is changed goes to the end. Of others it is the highest of the first page: no change that came
// after that page was fetched has a lower one.
func (c Cursor) bound() int64 {
	switch {
	case c.Kind == kindInteger && !c.Mixed:
		return *c.High
	case c.Kind == kindInteger && c.First != nil:
		return *c.First
	case c.Kind == kindInteger:
		return math.MinInt64
	case c.Clock.IsZero():
		return c.Started.Add(-ClockDoubt).UnixMicro()
	}
	return c.Clock.UnixMicro()
}

// End is c after the last page of its pass. Since moves to the highest value seen, but not past what may have changed
// on a page after it was fetched.
func (c Cursor) End(at time.Time) Cursor {
	c.Done, c.Ended, c.Partial = true, stamp(at), nil
	if c.High == nil {
		return c
	}
	c.Form = c.HighOf
	if high := min(*c.High, c.bound()); c.Since == nil && high > math.MinInt64 || c.Since != nil && high > *c.Since {
		c.Since = &high
	}
	return c
}

func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Encode is the cursor as the state topic holds it.
func (c Cursor) Encode() ([]byte, error) { return json.Marshal(c) } //nolint:musttag // a pagination is known by the names of its fields

// Decode reads what [Cursor.Encode] gave for the slice with that key.
func Decode(key string, b []byte) (Cursor, error) {
	var c Cursor
	if err := json.Unmarshal(b, &c); err != nil { //nolint:musttag // as in Encode
		return c, fmt.Errorf("cursor of %s: %w", key, err)
	}
	if c.Version != version {
		return c, fmt.Errorf("cursor of %s has version %d and this program knows %d: run the newer millrace",
			key, c.Version, version)
	}
	return c, nil
}

// Key names a slice in the state topic. An unsliced stream has one slice, named "".
func Key(stream, slice string) string { return stream + "/" + slice }
