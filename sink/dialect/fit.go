package dialect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

// Existing is a column as it is.
type Existing struct {
	Key       int    // its place in the primary key, from 1; 0: none
	Collation string // if different keys are equal in it
	Kind      string // the type's first word; empty: not known
	Length    int64  // of characters or bytes; 0: none
	Places    int    // digits behind the point of a decimal, or of the seconds of a time
	Generated bool   // its value is computed
	Needed    bool   // it has neither a default nor null
	Prefix    bool   // only the beginning of its values is in the primary key
}

// Fit compares the columns and the primary key of t with those that are there, by their names in lower case. definition
// is a column as it is created, and rekey the remedy for another primary key. It returns what does not fit, each with
// its remedy, and empties the map.
func Fit(t *rows.Table, is map[string]Existing, definition func(rows.Column) string, rekey string) []string {
	alter := "ALTER TABLE " + Quote(t.Name) + " "
	problems := fitColumns(t, is, alter, definition, rekey)
	const version = rows.VersionColumn + " VARBINARY(32) NOT NULL"
	switch e, ok := is[rows.VersionColumn]; {
	case !ok:
		problems = append(problems, fmt.Sprintf("no column %s: %sADD COLUMN %s", rows.VersionColumn, alter, version))
	case e.Kind != "" && (e.Kind != "varbinary" || e.Length < topics.VersionSize):
		problems = append(problems, fmt.Sprintf("column %s is %s(%d): %sMODIFY %s", rows.VersionColumn, e.Kind, e.Length, alter, version))
	}
	delete(is, rows.VersionColumn)
	for name, e := range is {
		switch {
		case e.Key > 0:
			problems = append(problems, fmt.Sprintf("column %s is in the primary key, but not a key of the pipeline file", name))
		case e.Needed:
			problems = append(problems, fmt.Sprintf("column %s must have a value, and the pipeline file has none for it: %sALTER COLUMN %s SET DEFAULT …, or DROP COLUMN %s",
				name, alter, Quote(name), Quote(name)))
		}
	}
	slices.Sort(problems)
	return slices.Compact(problems)
}

// fitColumns compares the columns of t, and takes them out of is.
func fitColumns(t *rows.Table, is map[string]Existing, alter string, definition func(rows.Column) string, rekey string) (problems []string) {
	for i, c := range t.Columns {
		e, ok := is[strings.ToLower(c.Name)]
		place := slices.Index(t.Key, i) + 1
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("no column %s: %sADD COLUMN %s", c.Name, alter, definition(c)))
		case e.Generated:
			problems = append(problems, fmt.Sprintf("column %s is generated, and the pipeline file has a value for it: leave it out there, or %sDROP COLUMN, then ADD COLUMN %s",
				c.Name, alter, definition(c)))
		case e.Key != place || e.Prefix:
			problems = append(problems, fmt.Sprintf("the primary key is not (%s): %s", KeyNames(t), rekey))
		case c.Key && !e.tellsApart(&c):
			problems = append(problems, fmt.Sprintf("key column %s is a %s, in which different keys may be equal: %sMODIFY %s",
				c.Name, e.kind(), alter, definition(c)))
		case c.Key && e.Collation != "":
			problems = append(problems, fmt.Sprintf("key column %s has the collation %s, in which different keys are equal: %sMODIFY %s",
				c.Name, e.Collation, alter, definition(c)))
		case e.bends(c.Kind):
			problems = append(problems, fmt.Sprintf("column %s is a %s, and the pipeline file has %s for it: the database would make others of some values, "+
				"without an error: %sMODIFY %s, or change sink.columns", c.Name, e.Kind, c.Type, alter, definition(c)))
		}
		delete(is, strings.ToLower(c.Name))
	}
	return problems
}

// tellsApart reports whether keys that differ in c differ in the column that is there, as far as its type is known.
func (e *Existing) tellsApart(c *rows.Column) bool {
	is := columntype.Of(e.Kind)
	switch {
	case e.Kind == "":
		return true
	case e.Kind == "enum", e.Kind == "set": // a text of digits is the place of another value
		return false
	case c.Kind == columntype.Boolean:
		return true
	case is.Kind() != c.Kind:
		return false
	case c.Kind == columntype.Decimal, c.Kind == columntype.Moment, c.Kind == columntype.Clock:
		return e.Places >= c.SQL.Places()
	}
	return is.Name() != "char" || c.SQL.Name() == "char" // which loses blanks at the end
}

// bends reports whether the database makes another value than a kind's of some in the column that is there, and does
// not say so: of 1.5 the integer 2, of the text 31.12.24 a day of 2031. Sizes and ranges do not count, and strict mode
// refuses what does not fit them.
func (e *Existing) bends(k columntype.Kind) bool {
	whole := k == columntype.Integer || k == columntype.Boolean
	switch is := columntype.Of(e.Kind).Kind(); is {
	case columntype.Text, columntype.JSON, columntype.Binary:
		return e.Kind == "bit" && !whole
	case columntype.Integer, columntype.Boolean:
		return !whole && k != columntype.Year
	case columntype.Decimal, columntype.Float:
		return !k.Numeric()
	case columntype.Moment:
		return k != columntype.Moment && k != columntype.Date
	default:
		return is != k
	}
}

// kind is the type for people.
func (e *Existing) kind() string {
	switch columntype.Of(e.Kind).Kind() {
	case columntype.Decimal:
		return fmt.Sprintf("%s with %d decimal places", e.Kind, e.Places)
	case columntype.Moment, columntype.Clock:
		return fmt.Sprintf("%s(%d)", e.Kind, e.Places)
	default:
		return e.Kind
	}
}
