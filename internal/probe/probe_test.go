package probe_test

import (
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"

	"github.com/millrace-io/millrace/ingest"
	"github.com/millrace-io/millrace/internal/dryrun"
	"github.com/millrace-io/millrace/internal/probe"
	"github.com/millrace-io/millrace/pipeline/file"
)

// TestShapes asks APIs of many styles. What the file says of them must be right, or marked as a guess; and at least
// nine tenths must be right.
func TestShapes(t *testing.T) {
	right, all := 0, 0
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			server := httptest.NewServer(s.serve)
			defer server.Close()
			u, err := url.Parse(server.URL + s.query)
			if err != nil {
				t.Fatal(err)
			}
			found, err := probe.Run(t.Context(), probe.Options{URL: u, Tell: func(a probe.Asked) { t.Logf("%d %s (%s)", a.Status, a.URL, a.Why) }})
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, f := range found.Facts() {
				seen[f.Name] = true
				want, known := s.want[f.Name]
				all++
				switch is := known && regexp.MustCompile("^(?:"+want+")$").MatchString(f.Value); {
				case is:
					right++
				case f.Guess == "":
					t.Errorf("%s is %q and not marked as a guess, want %q", f.Name, f.Value, want)
				default:
					t.Logf("%s is %q, want %q; it is marked: %s", f.Name, f.Value, want, f.Guess)
				}
			}
			for name := range s.want {
				if !seen[name] {
					t.Errorf("nothing is known of %s", name)
				}
			}
			text := found.File(server.URL+s.query, "x.yaml", probe.Given{Schema: file.SchemaURL})
			got, err := file.InspectBytes("x.yaml", text, func(string) (string, bool) { return "", false }, false)
			if err != nil {
				t.Fatalf("the file is wrong:\n%v\n%s", err, text)
			}
			rows(t, s, got, string(text))
		})
	}
	t.Logf("%d of %d facts are right (%.1f %%)", right, all, 100*float64(right)/float64(all))
	if right*10 < all*9 {
		t.Errorf("%d of %d facts are right", right, all)
	}
}

// rows walks over all pages with the file, and makes rows of the records: all of them, without a dead letter, unless
// the pagination was marked as a guess.
func rows(t *testing.T, s shape, got *file.Inspection, text string) {
	t.Helper()
	p := got.Pipeline
	p.Streams[0].Ingest.HTTP.RateLimit = nil
	p.Streams[0].Ingest.HTTP.Retry.Attempts = 1
	d, err := dryrun.New(&p.Streams[0])
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	err = ingest.Walk{Stream: p.Streams[0].Name}.Run(t.Context(), p, func(page *ingest.WalkedPage) error {
		for _, r := range page.Records {
			o := d.Apply(dryrun.Record{Value: r.Value, Key: r.Key, Source: r.Source})
			if r.Reason != "" || o.Letter != nil || len(o.Rows) != 1 {
				t.Errorf("%s: %s %+v", r.Value, r.Reason, o.Letter)
				continue
			}
			for _, c := range o.Rows[0] {
				if c.Doubt != "" {
					t.Errorf("column %s: %s", c.Column, c.Doubt)
				}
			}
			keys[string(r.Key)] = true
		}
		return nil
	}, nil)
	guessed := regexp.MustCompile(`(?m)^ *# GUESS.*\n *(# no )?paginate|no paginate: *# GUESS`).MatchString(text)
	if (err != nil || s.rows >= 0 && len(keys) != s.rows) && !guessed {
		t.Errorf("%d records, want %d (%v):\n%s", len(keys), s.rows, err, text)
	}
}
