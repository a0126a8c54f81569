package dialect

import (
	"github.com/millrace-io/millrace/sink/rows"
)

// Many is a statement about many rows of millrace_offsets at once. Between its ends comes a list of literals, which is
// a table called m with these columns; it reads the rows, and locks them, in the order of the list.
type Many struct {
	Head, Columns, Tail string
}

// Append appends the statement about list, whose values are those of the columns.
func (m Many) Append(dst []byte, d Dialect, list []rows.Values) []byte {
	return append(d.AppendList(append(dst, m.Head...), m.Columns, list), m.Tail...)
}
