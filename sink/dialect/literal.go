package dialect

import (
	"strings"

	"github.com/millrace-io/millrace/sink/rows"
)

// Literals writes values into statements.
type Literals interface {
	// AppendLiteral appends v as a literal.
	AppendLiteral(dst []byte, v rows.Value) []byte
}

// AppendValues appends literals, separated by commas.
func AppendValues(dst []byte, l Literals, v rows.Values) []byte {
	for first := true; len(v) > 0; first = false {
		if !first {
			dst = append(dst, ',')
		}
		var value rows.Value
		value, v = v.Next()
		dst = l.AppendLiteral(dst, value)
	}
	return dst
}

// AppendRow appends the literals of x's row and of its version, in parentheses.
func AppendRow(dst []byte, l Literals, x *rows.Change) []byte {
	dst = AppendValues(append(dst, '('), l, x.Row)
	dst = l.AppendLiteral(append(dst, ','), rows.Value{Form: rows.Bytes, Bytes: x.Version[:]})
	return append(dst, ')')
}

// AppendHex appends the literal of bytes that MySQL and SQLite share.
func AppendHex(dst, b []byte) []byte {
	return append(AppendDigits(append(dst, 'X', '\''), b), '\'')
}

// AppendDigits appends the hexadecimal digits of b.
func AppendDigits(dst, b []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, x := range b {
		dst = append(dst, digits[x>>4], digits[x&15])
	}
	return dst
}

// Quote quotes a name, as MySQL and SQLite take it.
func Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// KeyNames are the names of t's key columns, quoted, with commas between them.
func KeyNames(t *rows.Table) string {
	names := make([]string, len(t.Key))
	for i, at := range t.Key {
		names[i] = Quote(t.Columns[at].Name)
	}
	return strings.Join(names, ", ")
}

// ColumnNames are the names of all columns of t and of the version, quoted, with commas between them.
func ColumnNames(t *rows.Table) string {
	var b strings.Builder
	for _, c := range t.Columns {
		b.WriteString(Quote(c.Name) + ", ")
	}
	b.WriteString(rows.VersionColumn)
	return b.String()
}

// InsertInto is the beginning of an INSERT of all columns of t and the version. target is how the statement names t.
func InsertInto(target string, t *rows.Table) string {
	return "INSERT INTO " + target + " (" + ColumnNames(t) + ") VALUES "
}
