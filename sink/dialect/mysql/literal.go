package mysql

import (
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// AppendLiteral appends v as a literal.
func (*Dialect) AppendLiteral(dst []byte, v rows.Value) []byte {
	switch v.Form {
	case rows.Number:
		return append(dst, v.Bytes...)
	case rows.Text:
		return appendText(dst, v.Bytes)
	case rows.Bytes:
		return dialect.AppendHex(dst, v.Bytes)
	default:
		return append(dst, "NULL"...)
	}
}

// appendText escapes as MySQL does without NO_BACKSLASH_ESCAPES, which our sql_mode leaves out (MySQL Reference Manual,
// "String Literals"). The connection speaks utf8mb4, in which no other character holds these bytes.
func appendText(dst, s []byte) []byte {
	dst = append(dst, '\'')
	begin := 0
	for i, c := range s {
		var escaped byte
		switch c {
		case 0:
			escaped = '0'
		case '\'', '\\':
			escaped = c
		case 0x1a:
			escaped = 'Z'
		default:
			continue
		}
		dst = append(append(dst, s[begin:i]...), '\\', escaped)
		begin = i + 1
	}
	return append(append(dst, s[begin:]...), '\'')
}
