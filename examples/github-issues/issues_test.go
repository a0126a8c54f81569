// Package issues_test runs the example's pipeline file against synthetic answers.
package issues_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/examples/internal/offline"
	"github.com/millrace-io/millrace/pipeline/file"
)

func TestSyntheticAnswers(t *testing.T) {
	t.Setenv("GITHUB_TOKEN", "secret-token")
	p, err := file.Load("pipeline.yaml")
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
		return gocmp.Diff(want, got.String())
	})
	counts := offline.Counts(t, x)
	if counts.Fetched != 5 || counts.Filtered != 1 || counts.Letters() != 0 {
		t.Errorf("%d records fetched, %d filtered, %d dead letters; want 5, 1 and 0", counts.Fetched, counts.Filtered, counts.Letters())
	}
}

// TestIssuesChangeWhilePagesAreRead: with each request an issue changes that was read before. None is missed.
func TestIssuesChangeWhilePagesAreRead(t *testing.T) {
	t.Setenv("GITHUB_TOKEN", "secret-token")
	p, err := file.Load("pipeline.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const issues, perPage = 95, 10
	in := &p.Streams[0].Ingest
	in.HTTP.BaseURL = changing(t, issues, perPage)
	in.HTTP.RateLimit = nil
	in.Slices.Values = []string{"river"}
	in.Every = 50 * time.Millisecond

	x, db := offline.Run(t, p)
	offline.Await(t, func() string {
		var rows int
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM issues").Scan(&rows); err != nil {
			return err.Error()
		}
		if rows < issues {
			return fmt.Sprintf("%d rows, want %d", rows, issues)
		}
		return ""
	})
	if counts := offline.Counts(t, x); counts.Letters() != 0 {
		t.Errorf("%d dead letters", counts.Letters())
	}
}

// changing serves issues in the order and from the time that it is asked for. With each of the first requests one that
// was on the first page changes.
func changing(t *testing.T, issues, perPage int) (baseURL string) {
	t.Helper()
	type issue struct {
		number  int
		updated time.Time
	}
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	var all []issue
	for i := range issues {
		all = append(all, issue{i + 1, begin.Add(time.Duration(i) * time.Hour)})
	}
	var mu sync.Mutex
	requests := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		since, _ := time.Parse(time.RFC3339, r.FormValue("since")) // the zero time, if it is not asked for
		list := slices.DeleteFunc(slices.Clone(all), func(x issue) bool { return x.updated.Before(since) })
		if r.FormValue("sort") == "updated" {
			slices.SortStableFunc(list, func(a, b issue) int { return a.updated.Compare(b.updated) })
		}
		page, _ := strconv.Atoi(cmp.Or(r.FormValue("page"), "1"))
		from, to := min((page-1)*perPage, len(list)), min(page*perPage, len(list))
		if to < len(list) {
			q := r.URL.Query()
			q.Set("page", strconv.Itoa(page+1))
			w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?%s>; rel="next"`, r.Host, r.URL.Path, q.Encode()))
		}
		answer := []map[string]any{}
		for _, x := range list[from:to] {
			answer = append(answer, map[string]any{
				"id": x.number, "number": x.number, "title": "t", "state": "open", "user": nil, "labels": []any{}, "comments": 0,
				"repository_url": "https://api.github.com/repos/example/river",
				"created_at":     begin, "updated_at": x.updated, "closed_at": nil,
			})
		}
		if requests < perPage {
			all[requests].updated = begin.Add(time.Duration(issues+requests) * time.Hour)
			requests++
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(s.Close)
	return s.URL
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
