package rows

import "github.com/millrace-io/millrace/pipeline"

// VersionColumn is the column in which a row keeps the version of its record.
const VersionColumn = "_mr_version"

// Table is a stream's table, ready for use. It is read-only.
type Table struct {
	Stream     string
	Generation uint16 // of the stream
	Name       string
	Columns    []Column // without the version's
	Key        []int    // the key columns' places in Columns, in their order
	Versioned  bool     // records have a version of the source's: an older one may come at any time
}

// NewTable returns the table of s, whose columns have at least one key.
func NewTable(s *pipeline.Stream) *Table {
	t := &Table{Stream: s.Name, Generation: s.Generation, Name: s.Sink.Table, Versioned: s.Ingest.Version != ""}
	for i, c := range s.Sink.Columns {
		t.Columns = append(t.Columns, NewColumn(c))
		if c.Key {
			t.Key = append(t.Key, i)
		}
	}
	return t
}
