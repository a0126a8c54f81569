package rows

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/pipeline"
)

// shown writes values with commas between them: text in quotes, bytes as X'00'.
func shown(v Values) string {
	var out []string
	for len(v) > 0 {
		var value Value
		switch value, v = v.Next(); value.Form {
		case Null:
			out = append(out, "NULL")
		case Number:
			out = append(out, string(value.Bytes))
		case Text:
			out = append(out, "'"+string(value.Bytes)+"'")
		case Bytes:
			out = append(out, fmt.Sprintf("X'%x'", value.Bytes))
		}
	}
	return strings.Join(out, ",")
}

func TestConversion(t *testing.T) {
	for _, c := range []struct{ sqlType, json, want string }{
		{"bigint", `9223372036854775807`, `9223372036854775807`},
		{"bigint unsigned", `18446744073709551615`, `18446744073709551615`},
		{"bigint", `-0`, `0`},
		{"bigint", `"-007"`, `-7`},
		{"bigint", `"+7"`, `! +7 is not a whole number`},
		{"bigint", `"1_000"`, `! 1_000 is not a whole number`},
		{"bigint", `"0x10"`, `! 0x10 is not a whole number`},
		{"bigint", `"Infinity"`, `! Infinity is not a whole number`},
		{"bigint", `0e999`, `0`},
		{"bigint", `-1.2e3`, `-1200`},
		{"bigint", `1e-2`, `! 1e-2 is not a whole number`},
		{"bigint", `12.0`, `12`},
		{"bigint", `1.2e3`, `1200`},
		{"bigint", `" 42 "`, `42`},
		{"bigint", `true`, `1`},
		{"bigint", `false`, `0`},
		{"bigint", `null`, `NULL`},
		{"bigint", `1.5`, `! 1.5 is not a whole number`},
		{"bigint", `1e400`, `! 1e400 is out of range`},
		{"bigint", `{"a":1}`, `! {"a":1} is not a whole number`},
		{"bigint", `[]`, `! [] is not a whole number`},
		{"bigint", `"12 apples"`, `! 12 apples is not a whole number`},
		{"bigint", `"1) OR (1"`, `! 1) OR (1 is not a whole number`},
		{"year", `2024`, `2024`},
		{"year", `"1999"`, `1999`},
		{"year", `0`, `0000`},
		{"year", `24`, `! 24 is not a year in four digits`},
		{"year", `"0"`, `! "0" is not a year in four digits`},
		{"year", `2024.0`, `! 2024.0 is not a year`},
		{"tinyint(1)", `true`, `1`},
		{"boolean", `0`, `0`},
		{"boolean", `"yes"`, `! yes is not a whole number`},
		{"decimal(20,4)", `1234567890123456.7891`, `1234567890123456.7891`},
		{"decimal(20,4)", `1.5e3`, `1500.0000`},
		{"decimal(20,4)", `"12.30"`, `12.3000`},
		{"decimal(20,0)", `12.00`, `12`},
		{"decimal(20,4)", `-0.00`, `0.0000`},
		{"decimal(20,4)", `-1e-320`, `0.0000`},
		{"decimal(20,4)", `1.23456700`, `1.234567`},
		{"decimal(20,4)", `1e-31`, `0.0000`},
		{"decimal(20,4)", `1e100`, `! 1e100 is out of range`},
		{"decimal(20,4)", `"1,5"`, `! "1,5" is not a number`},
		{"decimal(20,4)", `"0x10"`, `! "0x10" is not a number`},
		{"decimal(20,4)", `true`, `! true is not a number`},
		{"double", `6.02e23`, `6.02e+23`},
		{"double", `1` + strings.Repeat("0", 100), `1e+100`},
		{"double", `12`, `1.2e+01`},
		{"double", `-0.0`, `0`},
		{"double", `1e400`, `! 1e400 is out of range`},
		{"double", `1e-400`, `0`},
		{"double", `"NaN"`, `! "NaN" is not a number`},
		{"datetime", `"2024-02-29T23:59:59Z"`, `'2024-02-29 23:59:59'`},
		{"datetime(6)", `"2024-02-29T23:59:59.123456789Z"`, `'2024-02-29 23:59:59.123456'`},
		{"datetime(3)", `"2024-02-29T23:59:59.5+01:00"`, `'2024-02-29 22:59:59.500'`},
		{"datetime(3)", `"2024-02-29T23:59:59.600Z"`, `'2024-02-29 23:59:59.600'`},
		{"datetime(3)", `"2024-02-29T23:59:59.6001Z"`, `'2024-02-29 23:59:59.6001'`},
		{"datetime", `"2024-02-29 23:59"`, `'2024-02-29 23:59:00'`},
		{"datetime", `"2024-02-29 23:59:59 UTC"`, `'2024-02-29 23:59:59'`},
		{"datetime", `"2024-02-29T23:59:59+0130"`, `'2024-02-29 22:29:59'`},
		{"datetime", `"2024-02-29T23:59:59-02"`, `'2024-03-01 01:59:59'`},
		{"datetime", `"0001-01-01T00:00:00+01:00"`, `! "0001-01-01T00:00:00+01:00" is not a date or time`},
		{"datetime", `"2024-02-30T00:00:00Z"`, `! "2024-02-30T00:00:00Z" is not a date or time`},
		{"datetime", `"2023-02-29"`, `! "2023-02-29" is not a date or time`},
		{"datetime", `"2024-02-29T24:00:00Z"`, `! "2024-02-29T24:00:00Z" is not a date or time`},
		{"datetime", `"2024-02-29T23:59:60Z"`, `! "2024-02-29T23:59:60Z" is not a date or time`},
		{"datetime", `"2024-02-29 23:59:59 EST"`, `! "2024-02-29 23:59:59 EST" is not a date or time`},
		{"datetime", `"2024-02-29 23:59:59.Z"`, `! "2024-02-29 23:59:59.Z" is not a date or time`},
		{"datetime", `"1711121011"`, `! "1711121011" is not a date or time`},
		{"datetime", `"20240229"`, `! "20240229" is not a date or time`},
		{"datetime", `"31.12.24"`, `! "31.12.24" is not a date or time`},
		{"datetime", `"01/02/03"`, `! "01/02/03" is not a date or time`},
		{"datetime", `"10:11:12"`, `! "10:11:12" is not a date or time`},
		{"datetime", `"24-02-29"`, `! "24-02-29" is not a date or time`},
		{"datetime", `"2024-2-9"`, `! "2024-2-9" is not a date or time`},
		{"datetime", `""`, `! "" is not a date or time`},
		{"date", `"2024"`, `! "2024" is not a date or time`},
		{"time", `""`, `! "" is not a time`},
		{"time", `"2024"`, `! "2024" is not a time`},
		{"time", `"101112"`, `! "101112" is not a time`},
		{"time", `"2024-02-29"`, `! "2024-02-29" is not a time`},
		{"time", `"1:02:03"`, `! "1:02:03" is not a time`},
		{"time", `"3 10:11:12"`, `! "3 10:11:12" is not a time`},
		{"time", `"-100:00:01.5"`, `'-100:00:01.5'`},
		{"datetime", `"2024-03-01t00:30:00+01:00"`, `'2024-02-29 23:30:00'`},
		{"datetime", `"2024-03-01 00:30:00-01:00"`, `'2024-03-01 01:30:00'`},
		{"datetime", `"2024-03-01 00:30:00"`, `'2024-03-01 00:30:00'`},
		{"datetime", `"2024-03-01"`, `'2024-03-01 00:00:00'`},
		{"datetime", `"it's"`, `! "it's" is not a date or time`},
		{"datetime", `1709251199`, `! 1709251199 is not a date or time`},
		{"date", `"2024-02-29T23:59:59Z"`, `'2024-02-29'`},
		{"date", `"2024-02-29T23:59:59-02:00"`, `'2024-03-01'`},
		{"time", `"2024-02-29T23:59:59.25Z"`, `'23:59:59.25'`},
		{"time", `"12:30:00"`, `'12:30:00'`},
		{"json", `{"a": [1, "it's \\ \u00e9"]}`, `'{"a": [1, "it's \\ \u00e9"]}'`},
		{"json", `"text"`, `'"text"'`},
		{"json", `9007199254740993`, `'9007199254740993'`},
		{"varchar(10)", `"plain"`, `'plain'`},
		{"varchar(10)", `"it's \"\\\u0000\n"`, "'it's \"\\\x00\n'"},
		{"varchar(10)", `"\ud83d\ude00"`, `'😀'`},
		{"varchar(10)", `1.50`, `'1.50'`},
		{"varchar(10)", `true`, `'true'`},
		{"text", `{"a": 1}`, `'{"a": 1}'`},
		{"varbinary(10)", `"aé"`, `X'61c3a9'`},
		{"varbinary(10)", `1`, `! 1 is not a string`},
	} {
		column := NewColumn(pipeline.ColumnType{Name: "c", Type: c.sqlType})
		var e encoder
		err := column.encode(&e, jsontext.Value(c.json))
		got := shown(e.out)
		reason, refused := strings.CutPrefix(c.want, "! ")
		switch {
		case refused && err == nil:
			t.Errorf("%s of %s: %s, want a refusal", c.sqlType, c.json, got)
		case refused && !strings.HasPrefix(err.Error(), "column c "+c.sqlType+": "+reason):
			t.Errorf("%s of %s: %q does not say %q", c.sqlType, c.json, err, reason)
		case !refused && (err != nil || got != c.want):
			t.Errorf("%s of %s: %s, %v; want %s", c.sqlType, c.json, got, err, c.want)
		}
	}
}

func TestNullInAColumnThatMustHaveAValue(t *testing.T) {
	c := NewColumn(pipeline.ColumnType{Name: "c", Type: "int", NotNull: true})
	if err := c.encode(new(encoder), jsontext.Value("null")); err == nil || !strings.Contains(err.Error(), "null") {
		t.Errorf("%v, want a refusal", err)
	}
}
