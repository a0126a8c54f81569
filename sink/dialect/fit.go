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
	Generated bool   // its value is computed
	Needed    bool   // it has neither a default nor null
	Prefix    bool   // only the beginning of its values is in the primary key
}

// Fit compares the columns and the primary key of t with those that are there, by their names in lower case.
// definition is a column as it is created. It returns what does not fit, each with its remedy, and empties the map.
func Fit(t *rows.Table, is map[string]Existing, definition func(rows.Column) string) []string {
	alter := "ALTER TABLE " + Quote(t.Name) + " "
	problems := fitColumns(t, is, alter, definition)
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
func fitColumns(t *rows.Table, is map[string]Existing, alter string, definition func(rows.Column) string) (problems []string) {
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
			problems = append(problems, fmt.Sprintf("the primary key is not (%s): %sDROP PRIMARY KEY, ADD PRIMARY KEY (%s)",
				KeyNames(t), alter, KeyNames(t)))
		case c.Key && e.Kind != "" && columntype.Of(e.Kind).Kind() != c.Kind && c.Kind != columntype.Boolean:
			problems = append(problems, fmt.Sprintf("key column %s is a %s, in which different keys may be equal: %sMODIFY %s",
				c.Name, e.Kind, alter, definition(c)))
		case c.Key && e.Collation != "":
			problems = append(problems, fmt.Sprintf("key column %s has the collation %s, in which different keys are equal: %sMODIFY %s",
				c.Name, e.Collation, alter, definition(c)))
		}
		delete(is, strings.ToLower(c.Name))
	}
	return problems
}
