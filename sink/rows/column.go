package rows

import (
	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/pipeline"
)

// Column is a column of a table, ready for use.
type Column struct {
	pipeline.ColumnType
	SQL  columntype.Type // what Type spells
	Kind columntype.Kind // of SQL

	places int // decimal places of its values: of a decimal, or of the second
}

// NewColumn returns the column that c describes.
func NewColumn(c pipeline.ColumnType) Column {
	t := columntype.Of(c.Type)
	return Column{c, t, t.Kind(), t.Places()}
}
