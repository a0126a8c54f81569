package dryrun_test

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/internal/dryrun"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/rows"
)

func TestFits(t *testing.T) {
	for _, c := range []struct{ typ, value, want string }{
		{"varchar(3)", "äöü", ""},
		{"varchar(3)", "äöüß", "4 characters"},
		{"varbinary(3)", "äö", "4 bytes"},
		{"tinytext", strings.Repeat("ä", 128), "256 bytes"},
		{"text", strings.Repeat("x", 65535), ""},
		{"longtext", strings.Repeat("x", 70000), ""},
		{"tinyint", "-128", ""},
		{"tinyint", "128", "out of the range of tinyint"},
		{"tinyint unsigned", "255", ""},
		{"int unsigned", "-1", "out of the range"},
		{"bigint", "9223372036854775807", ""},
		{"bigint", "9223372036854775808", "out of the range of bigint"},
		{"bigint unsigned", "18446744073709551615", ""},
		{"decimal(5,2)", "999.99", ""},
		{"decimal(5,2)", "-0999.990", ""},
		{"decimal(5,2)", "1000", "4 digits before the point"},
		{"decimal(5,2)", "1.005", "3 digits behind the point"},
	} {
		got := dryrun.Fits(columntype.Of(c.typ), rows.Value{Form: rows.Text, Bytes: []byte(c.value)})
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s in %s: %q, want %q", c.value, c.typ, got, c.want)
		}
	}
}

func TestApply(t *testing.T) {
	s := &pipeline.Stream{
		Name: "orders", Ingest: pipeline.Ingest{Key: []string{"id"}},
		Process: []pipeline.Step{
			{Filter: &pipeline.Filter{If: `status != "draft"`}},
			{Map: []pipeline.Column{{Name: "id", Expr: "id"}, {Name: "name", Expr: "name"}, {Name: "at", Expr: "at"}, {Name: "n", Expr: "n * 2"}}},
		},
		Sink: pipeline.Sink{Columns: []pipeline.ColumnType{
			{Name: "id", Type: "bigint", Key: true, NotNull: true}, {Name: "name", Type: "varchar(4)"}, {Name: "at", Type: "datetime(3)"}, {Name: "n", Type: "bigint"},
		}},
	}
	d, err := dryrun.New(s)
	if err != nil {
		t.Fatal(err)
	}
	o := d.Apply(dryrun.Record{Key: []byte("1"), Value: []byte(`{"id":1,"status":"new","name":"abcde","at":"2024-01-01T10:00:00+01:00","n":4}`)})
	if o.Letter != nil || len(o.Rows) != 1 || len(o.Trace) != 2 {
		t.Fatalf("%+v %+v", o, o.Letter)
	}
	row := o.Rows[0]
	if *row[0].Value != "1" || *row[2].Value != "2024-01-01 09:00:00.000" && *row[2].Value != "2024-01-01 09:00:00" || *row[3].Value != "8" || !strings.Contains(row[1].Doubt, "5 characters") {
		t.Errorf("%+v %s", row, *row[2].Value)
	}
	if o = d.Apply(dryrun.Record{Key: []byte("1"), Value: []byte(`{"id":1,"status":"draft"}`)}); o.Letter != nil || len(o.Rows) != 0 || len(o.Changes) != 1 || !o.Changes[0].Remove {
		t.Errorf("refused by the filter: %+v", o)
	}
	for value, want := range map[string]dryrun.Letter{
		`{"id":1,"status":"new","n":"x"}`:                {Stage: "processor", Step: "process[1].map.n"},
		`{"id":1,"status":"new","n":1,"at":"yesterday"}`: {Stage: "sink", Step: "sink.columns"},
		`[]`: {Stage: "processor", Step: "record"},
	} {
		o := d.Apply(dryrun.Record{Key: []byte("1"), Value: []byte(value)})
		if o.Letter == nil || o.Letter.Stage != want.Stage || o.Letter.Step != want.Step || o.Letter.Reason == "" || len(o.Rows) > 0 {
			t.Errorf("%s: %+v", value, o.Letter)
		}
	}
	if unseen := d.Unseen(); len(unseen) != 0 {
		t.Errorf("unseen: %v", unseen)
	}
}
