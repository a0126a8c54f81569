package sink

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/pipeline"
)

func TestLiterals(t *testing.T) {
	for _, c := range []struct{ sqlType, json, want string }{
		{"bigint", `9223372036854775807`, `9223372036854775807`},
		{"bigint unsigned", `18446744073709551615`, `18446744073709551615`},
		{"bigint", `-0`, `-0`},
		{"bigint", `12.0`, `12`},
		{"bigint", `1.2e3`, `1200`},
		{"bigint", `" 42 "`, `42`},
		{"bigint", `true`, `1`},
		{"bigint", `false`, `0`},
		{"bigint", `null`, `NULL`},
		{"bigint", `1.5`, `! 1.5 is not a whole number`},
		{"bigint", `1e400`, `! 1e400 is not a whole number`},
		{"bigint", `{"a":1}`, `! {"a":1} is not a whole number`},
		{"bigint", `[]`, `! [] is not a whole number`},
		{"bigint", `"12 apples"`, `! 12 apples is not a whole number`},
		{"bigint", `"1) OR (1"`, `! 1) OR (1 is not a whole number`},
		{"tinyint(1)", `true`, `1`},
		{"boolean", `0`, `0`},
		{"boolean", `"yes"`, `! yes is not a whole number`},
		{"decimal(20,4)", `1234567890123456.7891`, `1234567890123456.7891`},
		{"decimal(20,4)", `1.5e3`, `'1.5e3'`},
		{"decimal(20,4)", `"12.30"`, `12.30`},
		{"decimal(20,4)", `"0x10"`, `! "0x10" is not a number`},
		{"decimal(20,4)", `true`, `! true is not a number`},
		{"double", `6.02e23`, `6.02e23`},
		{"double", `"NaN"`, `! "NaN" is not a number`},
		{"datetime", `"2024-02-29T23:59:59Z"`, `'2024-02-29 23:59:59'`},
		{"datetime(6)", `"2024-02-29T23:59:59.123456789Z"`, `'2024-02-29 23:59:59.123456'`},
		{"datetime(3)", `"2024-02-29T23:59:59.5+01:00"`, `'2024-02-29 22:59:59.5'`},
		{"datetime", `"2024-03-01t00:30:00+01:00"`, `'2024-02-29 23:30:00'`},
		{"datetime", `"2024-03-01 00:30:00-01:00"`, `'2024-03-01 01:30:00'`},
		{"datetime", `"2024-03-01 00:30:00"`, `'2024-03-01 00:30:00'`},
		{"datetime", `"2024-03-01"`, `'2024-03-01'`},
		{"datetime", `"it's"`, `'it\'s'`},
		{"datetime", `1709251199`, `! 1709251199 is not a date or time`},
		{"date", `"2024-02-29T23:59:59Z"`, `'2024-02-29'`},
		{"date", `"2024-02-29T23:59:59-02:00"`, `'2024-03-01'`},
		{"time", `"2024-02-29T23:59:59.25Z"`, `'23:59:59.25'`},
		{"time", `"12:30:00"`, `'12:30:00'`},
		{"json", `{"a": [1, "it's \\ \u00e9"]}`, `'{"a": [1, "it\'s \\\\ \\u00e9"]}'`},
		{"json", `"text"`, `'"text"'`},
		{"json", `9007199254740993`, `'9007199254740993'`},
		{"varchar(10)", `"plain"`, `'plain'`},
		{"varchar(10)", `"it's \"\\\u0000\n"`, `'it\'s "\\\0` + "\n'"},
		{"varchar(10)", `"\ud83d\ude00"`, `'😀'`},
		{"varchar(10)", `1.50`, `'1.50'`},
		{"varchar(10)", `true`, `'true'`},
		{"text", `{"a": 1}`, `'{"a": 1}'`},
		{"varbinary(10)", `"aé"`, `X'61C3A9'`},
		{"varbinary(10)", `1`, `! 1 is not a string`},
	} {
		column := newColumn(pipeline.ColumnType{Name: "c", Type: c.sqlType})
		got, err := column.literal([]byte("("), jsontext.Value(c.json), new(mySQL))
		reason, refused := strings.CutPrefix(c.want, "! ")
		switch {
		case refused && err == nil:
			t.Errorf("%s of %s: %s, want a refusal", c.sqlType, c.json, got)
		case refused && !strings.HasPrefix(err.Error(), "column c "+c.sqlType+": "+reason):
			t.Errorf("%s of %s: %q does not say %q", c.sqlType, c.json, err, reason)
		case !refused && (err != nil || string(got) != "("+c.want):
			t.Errorf("%s of %s: %s, %v; want %s", c.sqlType, c.json, got, err, c.want)
		}
	}
}

func TestNullInAColumnThatMustHaveAValue(t *testing.T) {
	c := newColumn(pipeline.ColumnType{Name: "c", Type: "int", NotNull: true})
	if _, err := c.literal(nil, jsontext.Value("null"), new(mySQL)); err == nil || !strings.Contains(err.Error(), "null") {
		t.Errorf("%v, want a refusal", err)
	}
}

// unquoteMySQL reads a string literal as the MySQL Reference Manual, "String Literals", says. ok: it is one literal, and nothing follows.
func unquoteMySQL(s []byte) (out []byte, ok bool) {
	if len(s) < 2 || s[0] != '\'' {
		return nil, false
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '\'':
			return out, i == len(s)-1
		case '\\':
			if i++; i == len(s) {
				return nil, false
			}
			if at := strings.IndexByte("0'\"bnrtZ\\", s[i]); at >= 0 {
				out = append(out, "\x00'\"\b\n\r\t\x1a\\"[at])
			} else {
				out = append(out, s[i])
			}
		default:
			out = append(out, c)
		}
	}
	return nil, false
}

func FuzzMySQLText(f *testing.F) {
	for _, s := range []string{"", "it's", `\`, `\'`, "\x00\x1a", "'; DROP TABLE t; -- ", "é\xff", `"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		literal := new(mySQL).text(nil, s)
		if got, ok := unquoteMySQL(literal); !ok || !bytes.Equal(got, s) {
			t.Errorf("%q became %q, which is %q, %v", s, literal, got, ok)
		}
	})
}

// FuzzLiteral: whatever JSON a record holds, a literal is one literal, which cannot end early, and nothing panics.
func FuzzLiteral(f *testing.F) {
	types := []string{"bigint", "decimal(10,2)", "double", "boolean", "datetime(6)", "date", "time", "json", "varchar(10)", "varbinary(10)"}
	for i, s := range []string{`1`, `"2024-02-29T23:59:59.5Z"`, `"it's"`, `-1e-5`, `{"a":"\\'"}`, `"\u0000\\"`, `true`, `"12"`} {
		f.Add(uint8(i), s)
	}
	f.Fuzz(func(t *testing.T, i uint8, s string) {
		v := jsontext.Value(s)
		if v.Compact() != nil || !utf8.ValidString(s) {
			t.Skip("not JSON")
		}
		column := newColumn(pipeline.ColumnType{Name: "c", Type: types[int(i)%len(types)]})
		got, err := column.literal(nil, v, new(mySQL))
		if err != nil {
			return
		}
		if _, text := unquoteMySQL(got); text || string(got) == "NULL" || jsontext.Value(got).IsValid() && jsontext.Value(got).Kind() == '0' {
			return
		}
		if hex, ok := strings.CutPrefix(string(got), "X'"); ok && strings.Trim(hex, "0123456789ABCDEF") == "'" {
			return
		}
		if strings.Trim(strings.TrimPrefix(string(got), "-"), "0123456789") != "" || len(got) == 0 { // 007, from a string, is a number to MySQL
			t.Errorf("%s of %s became %s", column.Type, v, got)
		}
	})
}
