package file

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/pipeline"
)

func (d *decoder) sink(e *entry[streamFile], tables map[string]string) pipeline.Sink {
	f := &e.v.Sink.v
	s := pipeline.Sink{Table: f.Table.s}
	switch {
	case f.Table.ok:
		d.table(s.Table, f.Table.show(), f.Table.place, e.name, tables)
	case !f.Table.set:
		s.Table = e.name
		d.table(s.Table, quote(s.Table), e.place, e.name, tables)
	}
	seen := map[string]string{}
	before := len(d.problems)
	sound := f.Columns.ok
	for i := range f.Columns.entries {
		c := &f.Columns.entries[i]
		if why := badColumn(c.name); why != "" {
			d.reportAt(c.key, 0, 0, c.path, "", "the column name "+quote(c.name)+" "+why)
		}
		if other, twice := seen[strings.ToLower(c.name)]; twice && other != c.name {
			d.reportAt(c.key, 0, 0, c.path, "", "MySQL takes the columns "+quote(other)+" and "+quote(c.name)+" for the same")
		}
		seen[strings.ToLower(c.name)] = c.name
		s.Columns = append(s.Columns, d.columnType(c))
		sound = sound && c.v.ok
	}
	if sound && len(d.problems) == before {
		d.limits(s.Columns, f.Columns.place)
	}
	return s
}

const maxIdentifier = 64 // MySQL manual, "Identifier Length Limits", in characters

// table checks the name of a table, which messages show as shown.
func (d *decoder) table(name, shown string, at place, stream string, tables map[string]string) {
	hint := "set sink.table"
	switch lower := strings.ToLower(name); {
	case utf8.RuneCountInString(name) > maxIdentifier:
		d.reportf(at, hint, "the table name has %d characters; MySQL takes %d", utf8.RuneCountInString(name), maxIdentifier)
	case strings.ContainsFunc(name, isOddInName) || strings.HasSuffix(name, " "):
		d.reportf(at, hint, "the table name %s has characters other than letters, digits, _, - and $", shown)
	case strings.HasPrefix(lower, "millrace_"):
		d.reportf(at, hint, "tables whose names begin with millrace_ are millrace's own")
	case lineTable.MatchString(lower):
		d.reportf(at, hint, "tables whose names end in __g and a number are those of lines that are not live")
	default:
		if other, twice := tables[lower]; twice {
			d.reportf(at, hint, "the stream %s has the table %s already: each stream needs one of its own", other, shown)
		}
		tables[lower] = stream
	}
}

// lineTable is the name of a table of a line that is not live.
var lineTable = regexp.MustCompile(`__g\d+$`)

func isOddInName(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-', r == '$':
		return false
	}
	return true
}

// reservedPrefix begins the columns that millrace adds to a table.
const reservedPrefix = "_mr_"

// badColumn says what is wrong with the name of a column; "": nothing. The sink quotes names, so nearly all are good.
func badColumn(name string) string {
	switch {
	case name == "":
		return "is empty"
	case strings.HasPrefix(strings.ToLower(name), reservedPrefix):
		return "is reserved: " + reservedPrefix + " begins the columns that millrace adds"
	case utf8.RuneCountInString(name) > maxIdentifier:
		return "has more than 64 characters"
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '`' || r == '"' || r > 0xffff }):
		return "has characters that MySQL or SQLite does not take"
	case strings.HasSuffix(name, " "):
		return "ends in a space"
	}
	return ""
}

// MySQL manual, "InnoDB Limits" and "Limits on Table Column Count and Row Size".
const (
	maxKeyBytes = 3072
	maxRowBytes = 65535
	ownBytes    = 64 // _mr_version and what a row needs besides
)

// limits checks what the columns need together.
func (d *decoder) limits(columns []pipeline.ColumnType, at place) {
	key, row, keys := 0, ownBytes, 0
	for _, c := range columns {
		typ := columntype.Of(c.Type)
		row += typ.RowBytes()
		if c.Key {
			key += typ.KeyBytes()
			keys++
		}
	}
	if keys == 0 {
		d.reportf(at, `mark the columns of the primary key, as in "bigint key"`, "no column is a key")
	}
	if keys > 1 && key > maxKeyBytes {
		d.reportf(at, "make varchar columns of the key shorter: a character takes 4 bytes", "the key columns need %d bytes; MySQL takes %d", key, maxKeyBytes)
	}
	if row > maxRowBytes {
		d.reportf(at, "make varchar columns shorter (a character takes 4 bytes), or text", "a row may need %d bytes; MySQL takes %d", row, maxRowBytes)
	}
}
