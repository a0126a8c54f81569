package steps

import (
	"github.com/millrace-io/millrace/internal/expression"
)

// column is one that a step makes.
type column struct {
	name    string
	label   string // its place in the pipeline file
	program *expression.Program
	prefix  []byte // `{"name":` of the first, `,"name":` of the others
}

func newColumn(i int, name, label string, p *expression.Program) column {
	prefix := expression.AppendQuoted([]byte{"{,"[min(i, 1)]}, name)
	return column{name, label, p, append(prefix, ':')}
}

// eval computes the column over a frame of its level.
func (c *column) eval(frame *expression.Frame) (expression.Value, error) {
	v, err := c.program.Eval(frame)
	if err != nil {
		return v, &RefusedError{c.label, err}
	}
	return v, nil
}

// appendObject appends columns with these values as a JSON object.
func appendObject(dst []byte, columns []column, values []expression.Value) []byte {
	if len(values) == 0 {
		dst = append(dst, '{')
	}
	for i, v := range values {
		dst = append(dst, columns[i].prefix...)
		dst = v.AppendJSON(dst)
	}
	return append(dst, '}')
}
