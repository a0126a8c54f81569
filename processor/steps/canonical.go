package steps

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

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
	name   string                 // of the path
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
		f.name = strings.Join(f.path, ".")
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
			r.number = canonical.AppendNumber(r.number[:0], r.scratch)
			if !bytes.Equal(r.number, r.scratch) {
				slots[f.slot] = expression.JSON(bytes.Clone(r.number))
			}
		case expression.String, expression.Bool:
			if err := f.check(v, &r.scratch); err != nil {
				return &RefusedError{"sink.columns." + f.column, err}
			}
		default:
		}
	}
	return nil
}

// check refuses a text or a boolean that is not spelled as the column's own values are.
func (f *keyField) check(v expression.Value, scratch *[]byte) error {
	if f.column == "" {
		return nil
	}
	kind := f.typ.Kind()
	if kind == columntype.Binary || kind == columntype.Text && f.typ.Name() != "char" {
		return nil
	}
	if v.Kind() == expression.Bool {
		if kind == columntype.Integer {
			return f.twice(string(v.AppendJSON(nil)), "a number")
		}
		return nil
	}
	text := textOf(v, scratch)
	switch kind {
	case columntype.Integer, columntype.Boolean, columntype.Year, columntype.Decimal:
		number := bytes.TrimSpace(text)
		if want, ok := canonical.NumberOf(number); ok && !bytes.Equal(want, text) {
			return f.twice(string(text), string(want))
		}
	case columntype.Moment, columntype.Date, columntype.Clock:
		return f.checkTime(text)
	case columntype.Text:
		if f.typ.Name() == "char" && bytes.HasSuffix(text, []byte(" ")) {
			return f.twice(string(text), "a text without blanks at its end, or a column of type varchar")
		}
	default:
	}
	return nil
}

// checkTime refuses a time that is not spelled as those before.
func (f *keyField) checkTime(text []byte) error {
	var space [48]byte
	shape, utc := appendShape(space[:0], text)
	switch {
	case !utc:
		return f.twice(string(text), "the time in UTC, or a column of type varchar")
	case f.typ.Kind() == columntype.Date && len(text) > len("2024-01-01"):
		return nil // refused as the column's value
	}
	if first := f.shape.Load(); first == nil {
		mine := string(shape)
		f.shape.CompareAndSwap(nil, &mine)
	}
	if first := *f.shape.Load(); first != string(shape) {
		return f.twice(string(text), "a time written as "+first+", as before")
	}
	return nil
}

// twice says that two raw keys would have one row.
func (f *keyField) twice(got, want string) error {
	return fmt.Errorf("the key field %s is %.80q, want %s: in the column %s, %s, both are one row, and two raw keys must not share it",
		f.name, got, want, f.column, f.typ)
}

// appendShape appends how a time is written but for its digits: the zone, and what stands between date and time of day.
// The fraction does not count. utc is false if an offset says that it is the time somewhere else.
func appendShape(out, text []byte) (shape []byte, utc bool) {
	fraction := false
	for i, c := range text {
		switch {
		case c == '.' || c == ',':
			fraction = true
		case c < '0' || c > '9':
			if i > 10 && (c == '+' || c == '-') {
				return append(out, text[i:]...), len(bytes.Trim(text[i:], "+-:0")) == 0
			}
			fraction = false
			out = append(out, c)
		case !fraction:
			out = append(out, '0')
		}
	}
	return out, true
}

// rounds reports whether a column of a kind may hold less than the values that it is given.
func rounds(k columntype.Kind) bool {
	return k == columntype.Date || k == columntype.Clock || k == columntype.Moment || k == columntype.Decimal
}

// keeps refuses a value of a key column that the column would round: two raw keys would have one row.
func keeps(name string, typ columntype.Type, v expression.Value, scratch *[]byte) error {
	var lost string
	text := textOf(v, scratch)
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

// textOf is a text without quotes, or another value as JSON. It may lie in scratch.
func textOf(v expression.Value, scratch *[]byte) []byte {
	*scratch = v.AppendJSON((*scratch)[:0])
	quoted := *scratch
	if n := len(quoted); quoted[0] == '"' && !bytes.ContainsFunc(quoted[1:n-1], escapes) {
		return quoted[1 : n-1]
	}
	text, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return quoted
	}
	return text
}

// escapes reports whether a text with this character may be another without its quotes.
func escapes(r rune) bool { return r == '\\' || r < ' ' || r >= utf8.RuneSelf }

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
