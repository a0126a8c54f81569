package steps

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/internal/expression"
)

// AppendPK appends the values of the key columns, a JSON array, for the record that Apply was last called
// with and that has no row. It evaluates only what they are made of. The error is a *[RefusedError].
func (r *Runner) AppendPK(dst []byte) ([]byte, error) {
	for i := range r.chain.levels {
		l := &r.chain.levels[i]
		if i > 0 {
			r.descend(i)
		}
		for _, c := range l.needed {
			v, err := l.columns[c].eval(r.frames[i])
			if err != nil {
				return dst, err
			}
			r.values[i][c] = v
		}
	}
	columns, err := r.lastColumns()
	if err != nil {
		return dst, err
	}
	for i, c := range r.chain.key.columns {
		dst = append(dst, "[,"[min(i, 1)])
		dst = columns[c].AppendJSON(dst)
	}
	return append(dst, ']'), nil
}

// AppendTombstonePK appends the values of the key columns for a record of which only the raw key is known.
//
// The key of a stream with several key fields is a JSON array; that of one field is only its text. In both, 5 may have
// been a number or a string. Text that is no JSON number was a string. Text that is one is tried as both: as a string
// first where the key columns hold text or times, else as a number first, and in an array always so; what an expression
// cannot do with gives way to the other. The sink gives a column the same value for 5 and "5", so this is the row that
// the record had.
func (r *Runner) AppendTombstonePK(dst, key []byte) ([]byte, error) {
	fields := r.chain.key.raw
	if len(fields) != 1 {
		values, err := expression.Elements(key)
		if err != nil || len(values) != len(fields) {
			return dst, &RefusedError{"record", fmt.Errorf("the record's key is not a JSON array of %d values, as ingest.key makes it", len(fields))}
		}
		out, err := r.appendPKOf(dst, record(fields, values))
		if err == nil {
			return out, nil
		}
		for i, v := range values {
			if v.Kind() == '0' {
				values[i] = jsontext.Value(`"` + string(v) + `"`)
			}
		}
		if out, other := r.appendPKOf(dst, record(fields, values)); other == nil {
			return out, nil
		}
		return dst, err
	}
	text, err := jsontext.AppendQuote(nil, key)
	if err != nil {
		return dst, &RefusedError{"record", fmt.Errorf("the record's key: %w", err)}
	}
	guesses := []jsontext.Value{text}
	if expression.IsNumber(key) {
		guesses = []jsontext.Value{key, text}
		if !r.chain.key.numeric {
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
		return dst, &RefusedError{"record", err}
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
	for i, field := range fields { // a path may stand for one name with dots in it: see pipeline.PathTakes
		if len(field) > 1 {
			dst = append(expression.AppendQuoted(append(dst, ','), strings.Join(field, ".")), ':')
			dst = append(dst, values[i]...) //nolint:gosec // there are as many as fields
		}
	}
	return append(dst, '}')
}
