package earthquakes_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace-io/millrace/examples/earthquakes"
	"github.com/millrace-io/millrace/examples/internal/offline"
	"github.com/millrace-io/millrace/internal/demo"
	"github.com/millrace-io/millrace/internal/demo/quakeapi"
	"github.com/millrace-io/millrace/pipeline/file"
)

// TestRecordedAnswers runs the pipeline file, on embedded servers, against recorded answers: a first pass of ten events
// in three pages, and then passes that get five of them revised.
func TestRecordedAnswers(t *testing.T) {
	p, err := file.Parse("pipeline.yaml", earthquakes.Pipeline, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	in := &p.Streams[0].Ingest
	in.HTTP.BaseURL = recorded(t)
	in.Paginate.Offset.Limit = 4
	in.HTTP.RateLimit = nil
	in.Every = 100 * time.Millisecond

	x, db := offline.Run(t, p)
	table := demo.Table{DB: db, Name: p.Streams[0].Sink.Table}
	want := wantRows(t)
	offline.Await(t, func() string {
		d, err := table.Compare(t.Context(), want)
		if err != nil {
			return err.Error()
		}
		if !d.Equal() {
			return d.String()
		}
		return ""
	})
	offline.Await(t, func() string {
		if passes := offline.Counts(t, x).Passes; passes < 5 {
			return fmt.Sprintf("%d passes, want 5", passes)
		}
		return ""
	})
	if d, err := table.Compare(t.Context(), want); err != nil || !d.Equal() {
		t.Errorf("after further passes: %v %v", d, err)
	}
	if counts := offline.Counts(t, x); counts.Fetched != 15 || counts.ProcessorLetters != 1 {
		t.Errorf("%d records in the raw topic, %d dead letters; want 15 and 1: %+v", counts.Fetched, counts.ProcessorLetters, counts)
	}
}

// recorded serves the pages of testdata: those of the first pass, until somebody asks for what was updated after it.
func recorded(t *testing.T) (baseURL string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "all-"
		if r.FormValue("updatedafter") != "" {
			name = "changed-"
		}
		page, err := os.ReadFile(filepath.Join("testdata", name+r.FormValue("offset")+".json"))
		if err != nil || r.FormValue("limit") != "4" || r.FormValue("format") != "geojson" {
			t.Errorf("asked for %s: %v", r.URL, err)
			http.Error(w, "not recorded", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(page)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// wantRows reads the rows of testdata, which were made by hand.
func wantRows(t *testing.T) (rows []quakeapi.Row) {
	t.Helper()
	f, err := os.Open("testdata/rows.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var row quakeapi.Row
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := lines.Err(); err != nil || len(rows) == 0 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	return rows
}
