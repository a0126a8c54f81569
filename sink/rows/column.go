package rows

import (
	"strings"

	"github.com/millrace-io/millrace/pipeline"
)

// Kind is what a column makes of a JSON value.
type Kind uint8

// The kinds of columns.
const (
	KindText Kind = iota
	KindInteger
	KindDecimal
	KindFloat
	KindBoolean
	KindTime  // datetime and timestamp: date and time of day, in UTC
	KindDate  // date
	KindClock // time
	KindJSON
	KindBinary
)

// Column is a column of a table, ready for use.
type Column struct {
	pipeline.ColumnType
	Kind Kind
}

// NewColumn returns the column that c describes.
func NewColumn(c pipeline.ColumnType) Column { return Column{c, KindOf(c.Type)} }

// IsCharacter reports whether the column is a varchar or a char.
func (c Column) IsCharacter() bool {
	return strings.HasPrefix(c.Type, "varchar") || strings.HasPrefix(c.Type, "char")
}

// KindOf reads the first word of a type, as the pipeline file or the database writes it.
func KindOf(sqlType string) Kind {
	word, _, _ := strings.Cut(strings.ToLower(sqlType), "(")
	word, _, _ = strings.Cut(strings.TrimSpace(word), " ")
	switch word {
	case "tinyint":
		if strings.HasPrefix(sqlType, "tinyint(1)") {
			return KindBoolean
		}
		return KindInteger
	case "smallint", "mediumint", "int", "integer", "bigint", "year":
		return KindInteger
	case "decimal", "numeric", "dec", "fixed":
		return KindDecimal
	case "double", "float", "real":
		return KindFloat
	case "boolean", "bool":
		return KindBoolean
	case "datetime", "timestamp":
		return KindTime
	case "date":
		return KindDate
	case "time":
		return KindClock
	case "json":
		return KindJSON
	case "binary", "varbinary", "blob", "tinyblob", "mediumblob", "longblob":
		return KindBinary
	default:
		return KindText
	}
}
