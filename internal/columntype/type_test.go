package columntype_test

import (
	"errors"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/internal/columntype"
)

func TestOfReadsWhatStringWrites(t *testing.T) {
	args := map[string]string{"varchar": "5", "char": "5", "varbinary": "5", "decimal": "12, 2"}
	for _, name := range columntype.Names() {
		typ, err := columntype.New(name, args[name])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, typ := range withUnsigned(typ) {
			again := columntype.Of(typ.String())
			if again.String() != typ.String() || again.Kind() != typ.Kind() || again.RowBytes() != typ.RowBytes() || again.Name() != name {
				t.Errorf("%s was read back as %s", typ, again)
			}
			if typ.RowBytes() <= 0 || typ.WhyNoKey() == "" && typ.KeyBytes() <= 0 {
				t.Errorf("%s takes %d bytes in a row and %d in a key", typ, typ.RowBytes(), typ.KeyBytes())
			}
			if !typ.Kind().Takes('"') {
				t.Errorf("%s does not take a text", typ)
			}
		}
	}
}

func withUnsigned(t columntype.Type) []columntype.Type {
	if u, ok := t.Unsigned(); ok {
		return []columntype.Type{t, u}
	}
	return []columntype.Type{t}
}

func TestTypes(t *testing.T) {
	for _, c := range []struct {
		text     string
		kind     columntype.Kind
		row, key int
	}{
		{"bigint unsigned", columntype.Integer, 8, 8},
		{"tinyint", columntype.Integer, 1, 1},
		{"tinyint(1)", columntype.Boolean, 1, 1},
		{"year", columntype.Year, 1, 1},
		{"varchar(255)", columntype.Text, 1022, 1020},
		{"varbinary(16)", columntype.Binary, 18, 16},
		{"numeric(12,2)", columntype.Decimal, 32, 32},
		// What information_schema says of a table that is there.
		{"BIGINT", columntype.Integer, 8, 8},
		{"int(11)", columntype.Integer, 4, 4},
		{"binary", columntype.Binary, 2, 0},
		{"enum", columntype.Text, 10, 10},
	} {
		typ := columntype.Of(c.text)
		if typ.Kind() != c.kind || typ.RowBytes() != c.row || typ.KeyBytes() != c.key {
			t.Errorf("%s is %s of kind %d with %d and %d bytes, want kind %d with %d and %d", c.text, typ, typ.Kind(), typ.RowBytes(), typ.KeyBytes(), c.kind, c.row, c.key)
		}
	}
}

func TestArgumentsAreChecked(t *testing.T) {
	for _, c := range [][2]string{
		{"varchar", ""}, {"varchar", "0"}, {"varchar", "16384"}, {"varchar", "1,2"}, {"varchar", "x"}, {"decimal", ""}, {"decimal", "12"},
		{"decimal", "2,3"}, {"decimal", "66,2"}, {"bigint", "20"}, {"tinyint", "4"}, {"datetime", "7"}, {"blob", "10"}, {"year", "4"},
	} {
		var unknown *columntype.UnknownError
		if typ, err := columntype.New(c[0], c[1]); err == nil || errors.As(err, &unknown) {
			t.Errorf("%s(%s) is %s, %v; want an error of its arguments", c[0], c[1], typ, err)
		}
	}
	var unknown *columntype.UnknownError
	if _, err := columntype.New("string", ""); !errors.As(err, &unknown) || unknown.Name != "string" {
		t.Errorf("string: %v, want an UnknownError", err)
	}
}

func TestKindsTakeJSON(t *testing.T) {
	for _, c := range []struct {
		kind  columntype.Kind
		takes string
	}{
		{columntype.Integer, `"0tf`}, {columntype.Year, `"0`}, {columntype.Decimal, `"0`}, {columntype.Moment, `"`},
		{columntype.JSON, `"0tf{[`}, {columntype.Text, `"0tf{[`}, {columntype.Binary, `"`},
	} {
		for _, v := range []byte(`"0tf{[`) {
			want := false
			for _, k := range []byte(c.takes) {
				want = want || k == v
			}
			if got := c.kind.Takes(jsontext.Kind(v)); got != want {
				t.Errorf("kind %d takes %c: %v, want %v", c.kind, v, got, want)
			}
		}
		if c.kind.Want() == "" {
			t.Errorf("kind %d does not say what it wants", c.kind)
		}
	}
	if !columntype.Boolean.Numeric() || !columntype.Float.Numeric() || columntype.Text.Numeric() || columntype.Moment.Numeric() {
		t.Error("numbers are integers, booleans, years, decimals and floats")
	}
}
