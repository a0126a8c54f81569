package steps

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/internal/canonical"
	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor/plan"
)

// keyField is a field of the raw key. Two raw keys must never have one row: each would write it, and one would remove
// the row that the other made. So a field must be spelled in the one way that its key column can be.
type keyField struct {
	path   []string
	slot   int                    // of the record's level; -1: no expression names it
	column string                 // the key column that tells its values apart; empty: none is known
	typ    columntype.Type        // of that
	shape  atomic.Pointer[string] // of times: how the first one was written
}

// keyFields finds the fields of the raw key, and the key columns that tell their values apart.
func keyFields(s *pipeline.Stream, p *plan.Plan, scope *expression.Scope) []*keyField {
	fields := make([]*keyField, len(s.Ingest.Key))
	for i, key := range s.Ingest.Key {
		f := &keyField{path: pipeline.PathNames(key)}
		f.slot = slices.IndexFunc(scope.Paths(), func(path []string) bool { return slices.Equal(path, f.path) })
		for _, c := range s.Sink.KeyColumns() {
			if at := p.Last().Column(c.Name); at >= 0 && f.column == "" && slices.Equal(p.Last().Keeps[at], f.path) {
				f.column, f.typ = c.Name, columntype.Of(c.Type)
			}
		}
		fields[i] = f
	}
	return fields
}

// canonical writes the numbers among the key fields in the one spelling that the raw key has, and refuses a record
// whose row would be that of another raw key, too.
func (r *Runner) canonical() error {
	slots := r.frames[0].Slots
	for _, f := range r.chain.key.fields {
		if f.slot < 0 {
			continue
		}
		v := slots[f.slot]
		switch v.Kind() {
		case expression.Number:
			r.scratch = v.AppendJSON(r.scratch[:0])
			if n := canonical.AppendNumber(nil, r.scratch); !bytes.Equal(n, r.scratch) {
				slots[f.slot] = expression.JSON(n)
			}
		case expression.String, expression.Bool:
			if err := f.check(v); err != nil {
				return &RefusedError{"sink.columns." + f.column, err}
			}
		default:
		}
	}
	return nil
}

// check refuses a text or a boolean that is not spelled as the column's own values are.
func (f *keyField) check(v expression.Value) error {
	if f.column == "" {
		return nil
	}
	name, kind := strings.Join(f.path, "."), f.typ.Kind()
	if kind == columntype.Binary || kind == columntype.Text && f.typ.Name() != "char" {
		return nil
	}
	if v.Kind() == expression.Bool {
		if kind == columntype.Integer {
			return f.twice(name, string(v.AppendJSON(nil)), "a number")
		}
		return nil
	}
	text := textOf(v)
	switch kind {
	case columntype.Integer, columntype.Boolean, columntype.Year, columntype.Decimal:
		number := bytes.TrimSpace(text)
		if want, ok := canonical.NumberOf(number); ok && !bytes.Equal(want, text) {
			return f.twice(name, string(text), string(want))
		}
	case columntype.Moment, columntype.Date, columntype.Clock:
		shape, utc := shapeOf(text)
		switch {
		case !utc:
			return f.twice(name, string(text), "the time in UTC, or a column of type varchar")
		case kind == columntype.Date && len(text) > len("2024-01-01"):
			return nil // refused as the column's value
		}
		if first := f.shape.Load(); first == nil {
			f.shape.CompareAndSwap(nil, &shape)
		}
		if first := *f.shape.Load(); first != shape {
			return f.twice(name, string(text), "a time written as "+first+", as before")
		}
	case columntype.Text:
		if f.typ.Name() == "char" && bytes.HasSuffix(text, []byte(" ")) {
			return f.twice(name, string(text), "a text without blanks at its end, or a column of type varchar")
		}
	default:
	}
	return nil
}

// twice says that two raw keys would have one row.
func (f *keyField) twice(name, got, want string) error {
	return fmt.Errorf("the key field %s is %.80q, want %s: in the column %s, %s, both are one row, and two raw keys must not share it",
		name, got, want, f.column, f.typ)
}

// shapeOf is how a time is written but for its digits: the zone, and what stands between date and time of day. The
// fraction does not count. utc is false if an offset says that it is the time somewhere else.
func shapeOf(text []byte) (shape string, utc bool) {
	out := make([]byte, 0, len(text))
	fraction := false
	for i, c := range text {
		switch {
		case c == '.' || c == ',':
			fraction = true
		case c < '0' || c > '9':
			if i > 10 && (c == '+' || c == '-') {
				return string(append(out, text[i:]...)), len(bytes.Trim(text[i:], "+-:0")) == 0
			}
			fraction = false
			out = append(out, c)
		case !fraction:
			out = append(out, '0')
		}
	}
	return string(out), true
}

// rounds reports whether a column of a kind may hold less than the values that it is given.
func rounds(k columntype.Kind) bool {
	return k == columntype.Date || k == columntype.Clock || k == columntype.Moment || k == columntype.Decimal
}

// keeps refuses a value of a key column that the column would round: two raw keys would have one row.
func keeps(name string, typ columntype.Type, v expression.Value) error {
	var lost string
	text := textOf(v)
	switch typ.Kind() {
	case columntype.Date:
		if len(text) > len("2024-01-01") {
			lost = "the time of day"
		}
	case columntype.Clock:
		if len(text) > 10 && text[4] == '-' {
			lost = "the date"
		}
	case columntype.Moment:
		if i := bytes.IndexByte(text, '.'); i >= 0 && places(text[i+1:]) > typ.Places() {
			lost = fmt.Sprintf("digits of the fraction (%s(6) has the most)", typ.Name())
		}
	case columntype.Decimal:
		number, _ := canonical.NumberOf(text)
		if i := bytes.IndexByte(number, '.'); i >= 0 && len(number)-i-1 > typ.Places() {
			lost = "digits behind the point"
		}
	default:
	}
	if lost == "" {
		return nil
	}
	return fmt.Errorf("the key column %s, %s, would lose %s of %.80s, and two raw keys could have one row", name, typ, lost, v.AppendJSON(nil))
}

// textOf is a text without quotes, or another value as JSON.
func textOf(v expression.Value) []byte {
	quoted := v.AppendJSON(nil)
	text, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return quoted
	}
	return text
}

// places is how many digits there are, without zeros at the end.
func places(text []byte) int {
	n := 0
	for i, c := range text {
		switch {
		case c < '0' || c > '9':
			return n
		case c != '0':
			n = i + 1
		}
	}
	return n
}
