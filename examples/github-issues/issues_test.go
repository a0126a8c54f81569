// Package issues_test runs the example's pipeline file against synthetic answers.
package issues_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/examples/internal/offline"
	"github.com/millrace-io/millrace/pipeline"
)

func TestSyntheticAnswers(t *testing.T) {
	t.Setenv("GITHUB_TOKEN", "secret-token")
	p, err := pipeline.Load("pipeline.yaml")
	if err != nil {
		t.Fatal(err)
	}
	in := &p.Streams[0].Ingest
	in.HTTP.BaseURL = synthetic(t)
	in.HTTP.RateLimit = nil
	in.Path = "/repos/example/{repository}/issues"
	in.Slices.Values = []string{"river", "wheel"}
	in.Every = 100 * time.Millisecond

	x, db := offline.Run(t, p)
	want := `9007199254740993 example/river 1 The gate sticks, in frost closed ada bug,winter 5 2024-02-01 00:00:00
503 example/river 3 Flood — "again" closed - bug,spring 17 2024-01-05 00:00:00
601 example/wheel 1 Squeaks open cleo  1 -
`
	offline.Await(t, func() string {
		rows, err := db.QueryContext(t.Context(), `SELECT id, repository, number, title, state, COALESCE(author, '-'), labels, comments,
			COALESCE(CAST(closed_at AS TEXT), '-') FROM issues ORDER BY repository, number`)
		if err != nil {
			return err.Error()
		}
		defer func() { _ = rows.Close() }()
		var got strings.Builder
		for rows.Next() {
			var id, number, comments int64
			var repository, title, state, author, labels, closed string
			if err := rows.Scan(&id, &repository, &number, &title, &state, &author, &labels, &comments, &closed); err != nil {
				return err.Error()
			}
			_, _ = fmt.Fprintln(&got, id, repository, number, title, state, author, labels, comments, closed)
		}
		if err := rows.Err(); err != nil {
			return err.Error()
		}
		return cmp.Diff(want, got.String())
	})
	counts := offline.Counts(t, x)
	if counts.Fetched != 5 || counts.Filtered != 1 || counts.Letters() != 0 {
		t.Errorf("%d records fetched, %d filtered, %d dead letters; want 5, 1 and 0", counts.Fetched, counts.Filtered, counts.Letters())
	}
}

// synthetic serves the pages of testdata, with links from each to the next.
func synthetic(t *testing.T) (baseURL string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret-token" {
			http.Error(w, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
			return
		}
		name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/repos/example/"), "/issues")
		switch {
		case r.FormValue("since") != "":
			name += "-changed"
		case r.FormValue("page") != "":
			name += "-" + r.FormValue("page")
		default:
			if name == "river" {
				w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?per_page=100&page=2>; rel="next"`, r.Host, r.URL.Path))
			}
			name += "-1"
		}
		page, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			t.Errorf("asked for %s: %v", r.URL, err)
			http.Error(w, `{"message":"Not Found"}`, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(page)
	}))
	t.Cleanup(s.Close)
	return s.URL
}
