package cursor

import (
	"time"

	"github.com/millrace-io/millrace/ingest/paginate"
)

// Span is what lies from From up to To, and not To itself, on a scale.
type Span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Windows is what is left to fetch of a slice's past, beside what its passes ask for. What is in none of its spans is
// fetched, so that a window that is done takes no room.
type Windows struct {
	Stretches []Stretch `json:"stretches,omitempty"` // of which nothing was asked for
	Open      []Window  `json:"open,omitempty"`      // under way
	// fetched as far as the API shows them, which is not all: the newest ones
	Lacking []Span `json:"lacking,omitempty"`
	Number  int64  `json:"number"`          // of the last window
	Doubt   bool   `json:"doubt,omitempty"` // something spoke against the end of one
}

// Stretch is a span that is to be cut into windows.
type Stretch struct {
	Span

	Whole bool `json:"whole,omitempty"` // it is one window
}

// Window is a span that is fetched by itself.
type Window struct {
	Span

	Number  int64             `json:"number"`
	Request string            `json:"request,omitempty"` // as that of [Cursor]; empty: no page is committed
	Next    paginate.Position `json:"next,omitzero"`
	Partial *Partial          `json:"part,omitempty"`
}

// Lowest is the lowest value that is left to fetch; ok is false if nothing is.
func (w *Windows) Lowest() (from int64, ok bool) {
	lower := func(s Span) {
		if !ok || s.From < from {
			from, ok = s.From, true
		}
	}
	if w == nil {
		return 0, false
	}
	for _, s := range w.Stretches {
		lower(s.Span)
	}
	for _, o := range w.Open {
		lower(o.Span)
	}
	return from, ok
}

// Begin is the cursor of a window, for a slice whose last cursor is c and whose first page is first. field is how its
// bounds are written. The caller sets Request.
func (w Window) Begin(c Cursor, field Form, first paginate.Position) Cursor {
	from, to := w.From, w.To
	return Cursor{
		Version: version, Pass: c.Pass, Started: c.Started, Kind: c.Kind, Field: c.Field, Since: &from, Until: &to, Form: field,
		Top: c.Top, TopKind: c.TopKind, TopRule: c.TopRule, Shared: c.Shared, Shown: c.Shown, Next: first, Raw: c.Raw,
	}
}

// day is the step of forms that have no time of day.
const day = 24 * time.Hour

// Step is the value that lies a step after another. Whole days are those of the calendar, where the zone is known.
func (s Scale) Step(from int64, step time.Duration) int64 {
	at := time.UnixMicro(from).In(s.local())
	if step%day == 0 {
		return at.AddDate(0, 0, int(step/day)).UnixMicro()
	}
	return at.Add(step).UnixMicro()
}

// form is how the parameters of a request are written, for a field whose values are in that form.
func (s Scale) form(field Form) Form {
	switch {
	case s.sent != "":
		return s.sent
	case field == "":
		return rfc3339
	}
	return field
}

// Days reports whether what is sent has no time of day.
func (s Scale) Days(field Form) bool { return s.form(field).unit() == 0 }

// Bounds are the parameters of a request for what lies in w. Where they cannot be written to the microsecond, or the
// API leaves out what lies on them (exclusive), they are wider than w. days says that both are whole days that the API
// includes.
func (s Scale) Bounds(w Span, field Form, exclusive, days bool) (since, until string) {
	f := s.form(field)
	from := time.UnixMicro(w.From).UTC().Add(-s.repeated(w.From, field))
	since, named := f.format(from, s.local())
	if exclusive && !named.Before(from) {
		since, _ = f.format(f.before(named), s.local())
	}
	to := time.UnixMicro(w.To).UTC().Add(s.repeated(w.To, field))
	until, named = f.format(to, s.local())
	if named.Before(to) {
		until, named = f.format(f.after(named), s.local())
	}
	if days {
		until, _ = f.format(f.before(named), s.local())
	}
	return since, until
}

// Half is the middle of w, rounded down to what can be written; ok is false if w cannot be halved.
func (s Scale) Half(w Span, field Form) (middle int64, ok bool) {
	f := s.form(field)
	_, at := f.format(time.UnixMicro(w.From+(w.To-w.From)/2), s.local())
	if at.UnixMicro() <= w.From {
		_, from := f.format(time.UnixMicro(w.From), s.local())
		at = f.after(from)
	}
	return at.UnixMicro(), w.From < at.UnixMicro() && at.UnixMicro() < w.To
}

// after is the next time that the form can name after at, which it names.
func (f Form) after(at time.Time) time.Time {
	if unit := f.unit(); unit > 0 {
		return at.Add(unit)
	}
	return at.AddDate(0, 0, 1)
}

// before is the last time that the form can name before at, which it names.
func (f Form) before(at time.Time) time.Time {
	if unit := f.unit(); unit > 0 {
		return at.Add(-unit)
	}
	return at.AddDate(0, 0, -1)
}

// StartForm is how a start value of the pipeline file is written.
func (s Scale) StartForm(start string) Form { return s.Form(quoted(start)) }

// Ahead is a parameter for the end of a pass that began at a time and has none: no record has a later value.
func (s Scale) Ahead(began time.Time, field Form) string {
	text, _ := s.form(field).format(began.UTC().Truncate(day).Add(2*day), s.local())
	return text
}
