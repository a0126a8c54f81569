package infer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/internal/infer"
)

// sample is records that have values in the field x, and an id.
func sample(values ...string) *infer.Sample {
	var records []jsontext.Value
	for i, v := range values {
		r := fmt.Sprintf(`{"id":%d`, i+1)
		if v != "" {
			r += `,"x":` + v
		}
		records = append(records, jsontext.Value(r+"}"))
	}
	return infer.Look(records)
}

func TestColumnTypes(t *testing.T) {
	for _, c := range []struct {
		values    []string
		typ, expr string
		guess     bool
	}{
		{[]string{"1", "null", "9223372036854775807"}, "bigint", "x", false},
		{[]string{"9223372036854775808", "1"}, "decimal(38,0)", "x", false},
		{[]string{"1.5", "2", "12.25"}, "decimal(12,2)", "x", false},
		{[]string{"1.23456", "12345678.1"}, "decimal(19,7)", "x", false},
		{[]string{"1e10", "2"}, "double", "x", false},
		{[]string{"0.1234567890123", "2"}, "double", "x", false},
		{[]string{"true", "null", ""}, "boolean", "x", false},
		{[]string{`"a"`, `"bcd"`}, "varchar(64)", "x", false},
		{[]string{`"a b"`, `"bcd"`}, "varchar(255)", "x", false},
		{[]string{`"` + strings.Repeat("ü", 100) + `"`, `"b"`}, "varchar(255)", "x", false},
		{[]string{`"` + strings.Repeat("x", 3000) + `"`, `"b"`}, "text", "x", false},
		{[]string{`"` + strings.Repeat("x", 30000) + `"`, `"b"`}, "mediumtext", "x", false},
		{[]string{`"2024-01-01T10:00:00Z"`, "null"}, "datetime", "x", false},
		{[]string{`"2024-01-01T10:00:00.123Z"`, `"2024-01-01T10:00:00Z"`}, "datetime(3)", "x", false},
		{[]string{`"2024-01-01T10:00:00.123456+01:00"`}, "datetime(6)", "x", false},
		{[]string{`"2024-01-01 10:00:00"`, `"2024-01-02 10:00:00"`, `"2024-01-03 10:00:00"`}, "datetime", "x", true},
		{[]string{`"2024-01-01T10:00:00Z"`, `""`}, "datetime", `(x ?? "") == "" ? null : x`, false},
		{[]string{`"2024-01-01"`, `"2024-01-02"`, `"2024-01-03"`}, "date", "x", false},
		{[]string{`"10:11:12"`, `"10:11:13"`, `"10:11:14"`}, "time", "x", false},
		{[]string{`"Fri, 01 Mar 2024 11:30:00 +0000"`}, "datetime", "x == null ? null : datetime(x)", false},
		{[]string{`"12.50"`, `"-1.25"`, `"100"`}, "decimal(14,2)", "x", false},
		{[]string{`"01234"`, `"99999"`}, "varchar(64)", "x", false},
		{[]string{`"6ba7b810-9dad-11d1-80b4-00c04fd430c8"`, `"6ba7b810-9dad-11d1-80b4-00c04fd430c9"`, `"6ba7b810-9dad-11d1-80b4-00c04fd430c1"`}, "char(36)", "x", false},
		{[]string{`[1]`, `[]`}, "json", "x", false},
		{[]string{`{}`, `{}`}, "json", "x", false},
		{[]string{`1`, `"a"`}, "text", "x", true},
		{[]string{`1`, `[1]`}, "json", "x", true},
		{[]string{"null", ""}, "varchar(255)", "x", false},
		{[]string{`"2024-02-30"`, `"none"`}, "varchar(64)", "x", false},
	} {
		columns := sample(c.values...).Columns([][]string{{"id"}})
		x := columns[len(columns)-1]
		if c.values[0] == "null" {
			c.guess = true
		}
		if x.Name != "x" || x.Type != c.typ || x.Expr != c.expr || (x.Guess != "") != c.guess {
			t.Errorf("%v: %+v, want %s by %s, a guess: %v", c.values, x, c.typ, c.expr, c.guess)
		}
		if columns[0].Type != "bigint key" {
			t.Errorf("%v: the key is %+v", c.values, columns[0])
		}
	}
}

// TestTimesSince1970: by size and name, never by size alone.
func TestTimesSince1970(t *testing.T) {
	for record, want := range map[string]string{
		`{"created":1709280000,"price":1709280000,"closed_at":1709280000123,"user_id":1709280000123}`: "created datetime, price decimal(20,4), closed_at datetime(3), user_id bigint",
	} {
		s := infer.Look([]jsontext.Value{jsontext.Value(record), jsontext.Value(record)})
		var got []string
		for _, c := range s.Columns(nil) {
			got = append(got, c.Name+" "+c.Type)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %s, want %s", record, strings.Join(got, ", "), want)
		}
	}
}

func TestNamesAndNesting(t *testing.T) {
	s := infer.Look([]jsontext.Value{jsontext.Value(`{"id":1,"odd name":2,"in":3,"a":{"b":{"c":1}},"a_b_c":4,"fields":{"Due date":"x","id":5},"ID":6,"totals":{"2024":1,"2025":2},
		"_mr_version":7,"wide":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1}}`)})
	want := `id=id; odd_name=$env["odd name"]; in=$env["in"]; a_b_c=a.b.c; a_b_c_2=a_b_c; Due_date=fields["Due date"]; fields_id=fields.id; ID_2=ID; totals=totals; field_mr_version=_mr_version; wide=wide`
	var got []string
	for _, c := range s.Columns(nil) {
		got = append(got, c.Name+"="+c.Expr)
	}
	text := strings.ReplaceAll(strings.Join(got, "; "), `$env["fields"]["Due date"]`, `fields["Due date"]`)
	if text != want {
		t.Errorf("%s\nwant %s", text, want)
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		resource string
		records  []string
		key      string
		guess    bool
	}{
		{"orders", []string{`{"name":"a","id":1}`, `{"name":"b","id":2}`, `{"name":"c","id":3}`}, "id", false},
		{"orders", []string{`{"order_id":"a","n":1}`, `{"order_id":"b","n":1}`, `{"order_id":"c","n":1}`}, "order_id", false},
		{"orders", []string{`{"id":1,"order_id":5}`, `{"id":1,"order_id":6}`, `{"id":1,"order_id":7}`}, "order_id", false},
		{"orders", []string{`{"id":1}`}, "id", true},
		{"orders", []string{`{"customer_id":1,"day":"2024-01-01"}`, `{"customer_id":1,"day":"2024-01-02"}`, `{"customer_id":2,"day":"2024-01-01"}`}, "customer_id day", true},
		{"orders", []string{`{"id":null,"x":1}`, `{"id":2,"x":2}`, `{"id":3,"x":3}`}, "x", true},
		{"posts", []string{`{"node":{"id":"a"}}`, `{"node":{"id":"b"}}`, `{"node":{"id":"c"}}`}, "node.id", false},
	} {
		var records []jsontext.Value
		for _, r := range c.records {
			records = append(records, jsontext.Value(r))
		}
		k := infer.Look(records).Key(c.resource)
		var got []string
		for _, p := range k.Paths {
			got = append(got, strings.Join(p, "."))
		}
		if strings.Join(got, " ") != c.key || (k.Guess != "") != c.guess {
			t.Errorf("%v: %v (%s), want %s, a guess: %v", c.records, got, k.Guess, c.key, c.guess)
		}
	}
}

// TestARowFits: columns are made narrower until a row fits.
func TestARowFits(t *testing.T) {
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, `,"x%d":"%s"`, i, strings.Repeat("x", 400))
	}
	s := infer.Look([]jsontext.Value{jsontext.Value(`{"id":1` + b.String() + `}`)})
	texts := 0
	for _, c := range s.Columns([][]string{{"id"}}) {
		if c.Type == "text" {
			texts++
		}
	}
	if texts == 0 || texts == 60 {
		t.Errorf("%d of 60 columns are text", texts)
	}
}
