package demo_test

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/millrace-io/millrace/internal/demo"
	"github.com/millrace-io/millrace/internal/demo/quakeapi"
)

func table(t *testing.T, rows ...quakeapi.Row) demo.Table {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "t.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec(`CREATE TABLE quakes (id TEXT, time DATETIME, magnitude NUMERIC, place TEXT, longitude NUMERIC,
		latitude NUMERIC, depth_km NUMERIC, status TEXT, updated TEXT)`); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if _, err := db.Exec("INSERT INTO quakes VALUES (?,?,?,?,?,?,?,?,?)", r.ID, r.Time, r.Magnitude.String(), r.Place,
			r.Longitude.String(), r.Latitude.String(), r.DepthKm.String(), r.Status, r.Updated); err != nil {
			t.Fatal(err)
		}
	}
	return demo.Table{DB: db, Name: "quakes"}
}

func row(id string, change ...func(*quakeapi.Row)) quakeapi.Row {
	r := quakeapi.Row{
		ID: id, Time: "2018-02-07 01:26:13.840", Magnitude: "4.50", Place: "somewhere", Longitude: "-118.6671667", Latitude: "34.4945",
		DepthKm: "10", Status: "reviewed", Updated: "2018-02-07 02:00:00.000",
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func TestCompareFindsEachDifference(t *testing.T) {
	updated := func(text string) func(*quakeapi.Row) { return func(r *quakeapi.Row) { r.Updated = text } }
	table := table(t, row("same"), row("extra"), row("stale", updated("2018-02-07 01:00:00.000")),
		row("newer", updated("2018-02-07 03:00:00.000")), row("wrong", func(r *quakeapi.Row) { r.Magnitude = "4.51" }))
	want := []quakeapi.Row{row("same", func(r *quakeapi.Row) { r.Magnitude = "4.5" }), row("missing"), row("stale"), row("newer"), row("wrong")}
	d, err := table.Compare(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		ids  []string
	}{{"extra", d.Extra}, {"missing", d.Missing}, {"stale", d.Stale}, {"newer", d.Newer}, {"wrong", d.Wrong}} {
		if !slices.Equal(c.ids, []string{c.name}) {
			t.Errorf("%s: %v", c.name, c.ids)
		}
	}
	if d.Rows != 5 || d.Equal() || !strings.Contains(d.String(), "1 stale (stale)") {
		t.Errorf("%s", d)
	}
}

func TestStrongest(t *testing.T) {
	weak := row("weak", func(r *quakeapi.Row) { r.Magnitude = "-0.5" })
	table := table(t, weak, row("strong"), row("strongest", func(r *quakeapi.Row) { r.Magnitude = "10.1" }))
	rows, all, err := table.Strongest(t.Context(), 2)
	if err != nil || all != 3 || len(rows) != 2 || rows[0].ID != "strongest" || rows[1].ID != "strong" {
		t.Fatalf("%v of %d: %v", rows, all, err)
	}
	if rows[1].Time != "2018-02-07 01:26:13.840" {
		t.Errorf("time %q", rows[1].Time)
	}
	if !table.HasRows(t.Context()) || (demo.Table{DB: table.DB, Name: "nowhere"}).HasRows(t.Context()) {
		t.Error("HasRows is wrong of a table with rows, or of none")
	}
}

func TestReport(t *testing.T) {
	r := demo.Report{
		At:       9 * time.Second,
		Counts:   demo.Counts{Requests: 60, Retries: 7, Pages: 53, Fetched: 1500, Unchanged: 12, Processed: 1500, Rows: 1400, Filtered: 99, ProcessorLetters: 1},
		FirstRow: 800 * time.Millisecond, Database: "SQLite", TableName: "quakes", Rows: 1400,
		Strongest: []quakeapi.Row{row("a", func(r *quakeapi.Row) { r.Place = strings.Repeat("far ", 30) }), row("bcd")},
		Compared:  &demo.Difference{Rows: 1400},
		Letters:   slices.Repeat([]demo.Letter{{Stage: "processor", Key: "x", Step: "process[1].map.magnitude", Reason: "not a\nnumber"}}, 10),
		LetterLog: "quakes.dlq", LookTable: "sqlite3 file", Next: []string{"millrace demo --follow"},
	}
	var b bytes.Buffer
	if err := r.Write(&b, 80); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, want := range []string{
		"After 9.0 s; the first row was in SQLite after 0.8 s:\n",
		"60 requests, 7 of them again after 429, 500 or a cut connection\n",
		"53 pages → 1,500 records, 12 fetched again, unchanged, and left out\n",
		"Compared with what the API says, every row and every value: equal.\n",
		"  a    2018-02-07 01:26:13.840  4.50       reviewed  far",
		"  x refused by the processor at process[1].map.magnitude:\n      not a number\n",
		"… and 2 more",
		"  sqlite3 file\n",
		"  millrace demo --follow\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "Look at the topics") {
		t.Error("the topics are gone, but it says how to look at them")
	}
}
