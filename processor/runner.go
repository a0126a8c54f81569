package processor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/internal/expression"
)

// Runner runs a chain, record by record. One goroutine may use it at a time.
type Runner struct {
	chain     *Chain
	extractor *expression.Extractor
	frames    []*expression.Frame // by stage
	values    [][]expression.Value
}

// Runner returns a runner of c.
func (c *Chain) Runner() *Runner {
	r := &Runner{chain: c, extractor: c.segments[0].scope.NewExtractor()}
	for i := range c.segments {
		r.frames = append(r.frames, c.segments[i].scope.NewFrame())
		r.values = append(r.values, make([]expression.Value, len(c.segments[i].columns)))
	}
	return r
}

// Apply is [Step.Apply]. The error is a *[StepError].
func (r *Runner) Apply(dst, value []byte) (out []byte, outcome Outcome, err error) {
	if err := r.extractor.Extract(r.frames[0], value); err != nil {
		return dst, 0, &StepError{"record", err}
	}
	for i := range r.chain.segments {
		s := &r.chain.segments[i]
		if i > 0 {
			r.descend(i)
		}
		for j := range s.filters {
			if keep, err := s.filters[j].keeps(r.frames[i]); err != nil {
				return dst, 0, err
			} else if !keep {
				if s.filters[j].once {
					return dst, Nothing, nil
				}
				return dst, NoRow, nil
			}
		}
		for j := range s.columns {
			if r.values[i][j], err = s.columns[j].eval(r.frames[i]); err != nil {
				return dst, 0, err
			}
		}
	}
	last := r.values[len(r.values)-1]
	if err := r.checkKey(last); err != nil {
		return dst, 0, err
	}
	out = dst
	for i, v := range last {
		out = append(out, r.chain.columns[i].prefix...)
		out = v.AppendJSON(out)
	}
	if len(last) == 0 {
		out = append(out, '{')
	}
	return append(out, '}'), Row, nil
}

func (f *filter) keeps(frame *expression.Frame) (bool, error) {
	v, err := f.program.Eval(frame)
	if err != nil {
		return false, &StepError{f.path, err}
	}
	keep, ok := v.True()
	if !ok {
		return false, &StepError{f.path, fmt.Errorf("%s gave %s; a filter needs true or false", f.program, v.Kind())}
	}
	return keep, nil
}

func (o *output) eval(frame *expression.Frame) (expression.Value, error) {
	v, err := o.program.Eval(frame)
	if err != nil {
		return v, &StepError{o.path, err}
	}
	return v, nil
}

// descend fills the slots of stage i from the columns of the stage before.
func (r *Runner) descend(i int) {
	frame, columns := r.frames[i], r.values[i-1]
	frame.Reset()
	for slot, w := range r.chain.segments[i].wants {
		if w.column >= 0 {
			frame.Slots[slot] = expression.Descend(columns[w.column].Present(), w.path)
			continue
		}
		var whole []byte
		for j, v := range columns {
			whole = append(whole, r.chain.segments[i-1].columns[j].prefix...)
			whole = v.AppendJSON(whole)
		}
		frame.Slots[slot] = expression.JSON(append(whole, '}'))
	}
}

// checkKey refuses a record whose key columns are not all there: no row could be found again by them.
func (r *Runner) checkKey(columns []expression.Value) error {
	for i, column := range r.chain.key {
		if columns[column].Absent() {
			return &StepError{"sink.columns." + r.chain.names[i], fmt.Errorf("the key column %s is %s", r.chain.names[i], columns[column].Kind())}
		}
	}
	return nil
}

// AppendPK appends the values of the key columns, a JSON array, for the record that Apply was last called
// with and that has no row. It evaluates only what they are made of. The error is a *[StepError].
func (r *Runner) AppendPK(dst []byte) ([]byte, error) {
	for i := range r.chain.segments {
		s := &r.chain.segments[i]
		if i > 0 {
			r.descend(i)
		}
		for _, column := range s.needed {
			v, err := s.columns[column].eval(r.frames[i])
			if err != nil {
				return dst, err
			}
			r.values[i][column] = v
		}
	}
	last := r.values[len(r.values)-1]
	if err := r.checkKey(last); err != nil {
		return dst, err
	}
	for i, column := range r.chain.key {
		dst = append(dst, "[,"[min(i, 1)])
		dst = last[column].AppendJSON(dst)
	}
	return append(dst, ']'), nil
}

// AppendTombstonePK appends the values of the key columns for a record of which only the raw key is known.
//
// The key of a stream with several key fields is a JSON array and has their types. That of one field is only
// its text: 5 may have been a number or a string. Text that is no JSON number was a string. Text that is one
// is tried as both: as a string first where the key columns hold text or times, else as a number first; what
// an expression cannot do with gives way to the other. The sink gives a column the same value for 5 and
// "5", so this is the row that the record had.
func (r *Runner) AppendTombstonePK(dst, key []byte) ([]byte, error) {
	fields := r.chain.keyPath
	if len(fields) != 1 {
		values, err := expression.Elements(key)
		if err != nil || len(values) != len(fields) {
			return dst, &StepError{"record", fmt.Errorf("the record's key is not a JSON array of %d values, as ingest.key makes it", len(fields))}
		}
		return r.appendPKOf(dst, record(fields, values))
	}
	text, err := jsontext.AppendQuote(nil, key)
	if err != nil {
		return dst, &StepError{"record", fmt.Errorf("the record's key: %w", err)}
	}
	guesses := []jsontext.Value{text}
	if expression.IsNumber(key) {
		guesses = []jsontext.Value{key, text}
		if !r.chain.numericKey {
			guesses = []jsontext.Value{text, key}
		}
	}
	for _, guess := range guesses {
		var out []byte
		if out, err = r.appendPKOf(dst, record(fields, []jsontext.Value{guess})); err == nil {
			return out, nil
		}
	}
	return dst, err
}

func (r *Runner) appendPKOf(dst, record []byte) ([]byte, error) {
	if err := r.extractor.Extract(r.frames[0], record); err != nil {
		return dst, &StepError{"record", err}
	}
	return r.AppendPK(dst)
}

// record is the JSON object in which fields have those values.
func record(fields [][]string, values []jsontext.Value) []byte {
	dst := []byte{'{'}
	var done []string
	for i, field := range fields {
		name := field[0]
		if slices.Contains(done, name) {
			continue
		}
		if len(done) > 0 {
			dst = append(dst, ',')
		}
		done = append(done, name)
		dst = append(expression.AppendQuoted(dst, name), ':')
		if len(field) == 1 {
			dst = append(dst, values[i]...) //nolint:gosec // there are as many as fields
			continue
		}
		var inner [][]string // the fields that lie in the same object
		var innerValues []jsontext.Value
		for j, other := range fields {
			if other[0] == name && len(other) > 1 {
				inner, innerValues = append(inner, other[1:]), append(innerValues, values[j]) //nolint:gosec // as above
			}
		}
		dst = append(dst, record(inner, innerValues)...)
	}
	return append(dst, '}')
}

func splitPath(path string) []string { return strings.Split(path, ".") }
