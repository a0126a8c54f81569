package mysql

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

// unquoteMySQL reads a string literal as the MySQL Reference Manual, "String Literals", says. ok: it is one literal,
// and nothing follows.
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
		literal := appendText(nil, s)
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
		table := rows.NewTable(&pipeline.Stream{Sink: pipeline.Sink{Columns: []pipeline.ColumnType{
			{Name: "k", Type: "int", Key: true}, {Name: "c", Type: types[int(i)%len(types)]},
		}}})
		var x rows.Change
		rows.NewDecoder().Decode(&x, table, &kgo.Record{
			Value: []byte(`{"k":1,"c":` + s + `}`), Headers: []kgo.RecordHeader{{Key: topics.HeaderVersion, Value: make([]byte, topics.VersionSize)}},
		})
		if x.Reason != nil {
			return
		}
		got := new(Dialect).AppendLiteral(nil, x.Row.At(1))
		if _, text := unquoteMySQL(got); text || string(got) == "NULL" || jsontext.Value(got).IsValid() && jsontext.Value(got).Kind() == '0' {
			return
		}
		if hex, ok := strings.CutPrefix(string(got), "X'"); ok && strings.Trim(hex, "0123456789ABCDEF") == "'" {
			return
		}
		// 007 is a number to MySQL
		if strings.Trim(strings.TrimPrefix(string(got), "-"), "0123456789") != "" || len(got) == 0 {
			t.Errorf("%s of %s became %s", table.Columns[1].Type, v, got)
		}
	})
}

// TestAppendRow: each form of value, and the version after them.
func TestAppendRow(t *testing.T) {
	x := rows.Change{Row: rows.Values(nil).Append(rows.Number, []byte("-7")).Append(rows.Null, nil).Append(rows.Text, []byte(`it's \`)).Append(rows.Bytes, []byte{0xab, 0})}
	got := string(dialect.AppendRow(nil, new(Dialect), &x))
	if want := `(-7,NULL,'it\'s \\',X'AB00',X'` + strings.Repeat("00", topics.VersionSize) + `')`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
