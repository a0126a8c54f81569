package rows

import (
	"strings"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/pipeline"
)

// VersionColumn is the column in which a row keeps the version of its record.
const VersionColumn = "_mr_version"

// Table is a stream's table, ready for use. It is read-only.
type Table struct {
	Pipeline   string // whose stream it is: several pipelines may have one of that name in a database
	Stream     string
	Generation uint16 // of the stream's marks: its line, see docs/generations.md
	Name       string
	Columns    []Column // without the version's
	Key        []int    // the key columns' places in Columns, in their order
	Versioned  bool     // records have a version of the source's: an older one may come at any time
	// a row is found by its key as it was sent: no column of the key changes values, by rounding or padding
	Findable bool
}

// firstLine is the line of a stream of a pipeline file.
const firstLine = 1

// NewTable returns the table of s, whose columns have at least one key.
func NewTable(s *pipeline.Stream) *Table {
	t := &Table{Findable: true, Stream: s.Name, Generation: firstLine, Name: s.Sink.Name(), Versioned: s.Ingest.Version != ""}
	for i, c := range s.Sink.Columns {
		t.Columns = append(t.Columns, NewColumn(c))
		if c.Key {
			t.Key = append(t.Key, i)
			t.Findable = t.Findable && t.Columns[i].keeps()
		}
	}
	return t
}

// keeps reports whether the database keeps values of c as they are sent, or refuses them.
func (c *Column) keeps() bool {
	switch c.Kind {
	case columntype.Integer, columntype.Boolean, columntype.Year, columntype.Date:
		return true
	case columntype.Text, columntype.Binary:
		return strings.HasPrefix(c.SQL.Name(), "var") || strings.HasSuffix(c.SQL.Name(), "text") || strings.HasSuffix(c.SQL.Name(), "blob")
	default:
		return false
	}
}
