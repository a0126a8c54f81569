package ingest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// script is an API that answers requests by their number, from 1; the last answer stands for all after it.
type script struct {
	*httptest.Server
	mu      sync.Mutex
	answers []func(w http.ResponseWriter) string
	asked   []url.Values
}

func newScript(t testing.TB, answers ...func(w http.ResponseWriter) string) *script {
	a := &script{answers: answers}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asked = append(a.asked, r.URL.Query())
		_, _ = w.Write([]byte(a.answers[min(len(a.asked), len(a.answers))-1](w)))
	}))
	t.Cleanup(a.Close)
	return a
}

func says(body string) func(http.ResponseWriter) string {
	return func(http.ResponseWriter) string { return body }
}

// saying are answers with these bodies.
func saying(bodies []string) (answers []func(http.ResponseWriter) string) {
	for _, body := range bodies {
		answers = append(answers, says(body))
	}
	return answers
}

func (a *script) requests() []url.Values {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

func (a *script) stream(change func(*pipeline.Ingest)) pipeline.Stream {
	s := pipeline.Stream{Name: "items", Ingest: pipeline.Ingest{
		HTTP: pipeline.HTTP{BaseURL: a.URL, Retry: pipeline.Retry{Initial: time.Millisecond, Max: 20 * time.Millisecond, Attempts: 2}},
		Path: "/items", Records: []string{"data"}, Key: []string{"id"}, Concurrency: 1, Every: 20 * time.Millisecond,
	}}
	change(&s.Ingest)
	return s
}

// TestWhatChangesWhileAPassRunsIsFetchedByTheNext, whatever our clock says: that of the API is five minutes behind, or
// ahead.
func TestWhatChangesWhileAPassRunsIsFetchedByTheNext(t *testing.T) {
	for name, skew := range map[string]time.Duration{"behind": -5 * time.Minute, "ahead": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now().Add(skew).Truncate(time.Second).UTC() // by the clock of the API
			type row struct {
				ID int    `json:"id"`
				At string `json:"at"`
			}
			var mu sync.Mutex
			rows := []row{{1, began.Add(-time.Hour).Format(time.RFC3339)}, {2, began.Add(-time.Minute).Format(time.RFC3339)}}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				q := r.URL.Query()
				w.Header().Set("Date", began.Format(http.TimeFormat))
				var found []row
				for _, i := range rows {
					if i.At >= q.Get("since") {
						found = append(found, i)
					}
				}
				answer := map[string]any{"data": found[:min(1, len(found))], "next": nil}
				switch {
				case q.Get("cursor") != "":
					answer["data"] = found[1:]
				case len(found) > 1:
					answer["next"] = "second"
				}
				_ = json.NewEncoder(w).Encode(answer)
				if q.Get("since") == "" && q.Get("cursor") == "" { // after the first page of the first pass, both change
					rows[0].At = began.Add(4 * time.Second).Format(time.RFC3339)
					rows[1].At = began.Add(8 * time.Second).Format(time.RFC3339)
				}
			}))
			t.Cleanup(server.Close)
			s := (&script{Server: server}).stream(func(in *pipeline.Ingest) {
				in.Paginate = pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"next"}, Param: "cursor"}}
				in.Incremental = &pipeline.Incremental{Field: "at", Param: "since"}
				in.Version = "at"
			})
			c := testkafka.New(t)
			r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
			r.awaitPasses(t, 3)
			r.stop()
			newest := map[string]string{}
			for _, rec := range testkit.Records(t, c.ListenAddrs(), "shop.items.raw") {
				var i row
				if err := json.Unmarshal(rec.Value, &i); err != nil {
					t.Fatal(err)
				}
				newest[string(rec.Key)] = max(newest[string(rec.Key)], i.At)
			}
			if d := cmp.Diff(map[string]string{"1": rows[0].At, "2": rows[1].At}, newest); d != "" {
				t.Errorf("the newest revisions in raw (-want +got):\n%s", d)
			}
		})
	}
}

// letters are the reasons of the dead letters, by key.
func letters(t testing.TB, brokers []string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, r := range testkit.Records(t, brokers, "shop.items.dlq") {
		l, _, err := topics.ParseLetter(r)
		if err != nil {
			t.Fatal(err)
		}
		out[string(r.Key)] = l.Step + ": " + l.Reason
	}
	return out
}

func sources(t testing.TB, brokers []string) (out []string) {
	t.Helper()
	for _, r := range testkit.Records(t, brokers, "shop.items.raw") {
		out = append(out, source(r))
	}
	slices.Sort(out)
	return out
}

func source(r *kgo.Record) string {
	v, ok := topics.Header(r, topics.HeaderSource)
	if !ok {
		return string(r.Key) + " has none"
	}
	return string(r.Key) + ": " + string(v)
}

// TestRecordsWithoutTheirVersionDoNotVanish: what comes without a version after others had one would be taken for the
// oldest.
func TestRecordsWithoutTheirVersionDoNotVanish(t *testing.T) {
	first := `{"data":[{"id":1,"v":5},{"id":2,"v":5}]}`
	for name, c := range map[string]struct {
		rule    pipeline.VersionRule
		answers []string
		letters map[string]string
		raw     []string
	}{
		"null or missing": {pipeline.VersionRule{}, []string{first, `{"data":[{"id":1,"v":null},{"id":2,"deleted":true}]}`}, map[string]string{
			"1": "ingest.version: the record has no version", "2": "ingest.version: the record has no version",
		}, []string{"1: 5", "2: 5"}},
		"declared to be the newest": {pipeline.VersionRule{Missing: "newest"}, []string{first, `{"data":[{"id":1,"v":null},{"id":2,"v":9}]}`}, map[string]string{},
			[]string{"1: 5", "1: 9", "2: 5", "2: 9"}},
		"times, and then numbers": {pipeline.VersionRule{}, []string{`{"data":[{"id":1,"v":"2024-03-01T00:00:00Z"}]}`, `{"data":[{"id":1,"v":1709251201}]}`},
			map[string]string{"1": `ingest.version: the versions in the field "v" were times so far`}, []string{"1: 1709251200000000000"}},
		"declared to be the oldest": {pipeline.VersionRule{Missing: "oldest"}, []string{first, `{"data":[{"id":3,"v":null}]}`}, map[string]string{},
			[]string{"1: 5", "2: 5", "3 has none"}},
		"no record ever had one": {pipeline.VersionRule{}, []string{`{"data":[{"id":1},{"id":2,"v":null}]}`}, map[string]string{},
			[]string{"1 has none", "2 has none"}},
		"unreadable": {pipeline.VersionRule{}, []string{`{"data":[{"id":1,"v":"v12"},{"id":2,"v":1709373600.9},{"id":3,"v":18446744073709551615},{"id":4,"v":3}]}`},
			map[string]string{
				"1": `ingest.version: the field "v", "v12", is neither a time nor a number`,
				"2": `ingest.version: the field "v", 1709373600.9, has more digits behind the point than count`,
				"3": `ingest.version: the field "v", 18446744073709551615, has more than 64 bits`,
			}, []string{"4: 3"}},
		"read by a rule": {pipeline.VersionRule{As: "digits"}, []string{`{"data":[{"id":1,"v":"v12"}]}`, `{"data":[{"id":1,"v":"v9"}]}`}, map[string]string{},
			[]string{"1: 12", "1: 9"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newScript(t, saying(c.answers)...)
			kafka := testkafka.New(t)
			s := a.stream(func(in *pipeline.Ingest) { in.Version, in.VersionRule = "v", c.rule })
			r := start(t, newPipeline(kafka.ListenAddrs(), s), "one", testConfig())
			r.awaitPasses(t, 4)
			r.stop()
			got := letters(t, kafka.ListenAddrs())
			for key, want := range c.letters {
				if !strings.HasPrefix(got[key], want) {
					t.Errorf("letter of %s: %q, want %q", key, got[key], want)
				}
			}
			if len(got) != len(c.letters) {
				t.Errorf("letters %v, want %v", got, c.letters)
			}
			if d := cmp.Diff(c.raw, sources(t, kafka.ListenAddrs())); d != "" {
				t.Errorf("versions in raw (-want +got):\n%s", d)
			}
		})
	}
}

// TestUnreadableFieldsStopTheStream, if the file says so: then nothing passes them.
func TestUnreadableFieldsStopTheStream(t *testing.T) {
	t.Parallel()
	a := newScript(t, says(`{"data":[{"id":1,"at":"2024-01-01T00:00:00Z"},{"id":2,"at":"tomorrow"}]}`), says(`{"data":[{"id":1,"at":"2024-01-01T00:00:00Z"}]}`))
	c := testkafka.New(t)
	s := a.stream(func(in *pipeline.Ingest) {
		in.Incremental = &pipeline.Incremental{Field: "at", Param: "since"}
		in.Unreadable = "wait"
	})
	r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
	r.awaitPass(t)
	r.stop()
	if log := r.log.String(); !strings.Contains(log, `ingest.incremental.field: the field \"at\" of record 1 of the page is not a time`) {
		t.Errorf("the log does not tell of the record:\n%s", log)
	}
	if q := a.requests(); len(q) < 2 || q[1].Has("since") {
		t.Errorf("asked %v, want the page again, without since", q)
	}
}

// TestFieldsThatNoRecordHasAreTold once.
func TestFieldsThatNoRecordHasAreTold(t *testing.T) {
	t.Parallel()
	a := newScript(t, says(`{"data":[{"id":1,"at":"2024-01-01 00:00:00"}]}`))
	c := testkafka.New(t)
	never := a.stream(func(in *pipeline.Ingest) {
		in.Incremental = &pipeline.Incremental{Field: "updated", Param: "since"}
		in.Version = "revison"
	})
	never.Name = "never"
	vague := a.stream(func(in *pipeline.Ingest) {
		in.Incremental = &pipeline.Incremental{Field: "at", Param: "since"}
		in.Version = "at"
	})
	r := start(t, newPipeline(c.ListenAddrs(), never, vague), "one", testConfig())
	r.awaitPass(t)
	r.awaitPasses(t, 6)
	r.stop()
	log := r.log.String()
	for _, want := range []string{
		`ingest.version: no record so far has a version in the field \"revison\"`,
		`ingest.incremental.field: no record so far has a value in the field \"updated\"`,
		`the times in the field \"at\" name no zone`,
	} {
		if n := strings.Count(log, want); n != 1 {
			t.Errorf("%d lines with %s", n, want)
		}
	}
	told := fmt.Sprint(r.Health.Degraded())
	for _, want := range []string{"revison", "updated", "no zone"} {
		if !strings.Contains(told, want) {
			t.Errorf("health does not tell of %s: %s", want, told)
		}
	}
}

// TestSinceIsSentAsTheAPIWritesIt, with the field read in the form that it has.
//
// Guards against vectordotdev/vector#14621, vectordotdev/vector#22988.
func TestSinceIsSentAsTheAPIWritesIt(t *testing.T) {
	for at, want := range map[string]string{
		`"2024-03-02T10:00:00.000+00:00"`:      "2024-03-02T09:00:00Z",
		`"2024-03-02T10:00:00.000Z"`:           "2024-03-02T09:00:00Z",
		`"2024-03-02T10:00:00.000+0000"`:       "2024-03-02T09:00:00Z",
		`"2024-03-02T10:00:00.000+00"`:         "2024-03-02T09:00:00Z",
		`"2024-03-02T10:00:00.000\u002B00:00"`: "2024-03-02T09:00:00Z",
		`"2024-03-02T10:00Z"`:                  "2024-03-02T09:00:00Z",
		`1709373600.25`:                        "1709370000",
		`1709373600250`:                        "1709370000250",
		`"Sat, 02 Mar 2024 10:00:00 GMT"`:      "Sat, 02 Mar 2024 09:00:00 GMT",
		`"2024-03-02 10:00:00.5"`:              "2024-03-01 10:00:00.0",
	} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			a := newScript(t, says(fmt.Sprintf(`{"data":[{"id":1,"at":%s}]}`, at)))
			c := testkafka.New(t)
			s := a.stream(func(in *pipeline.Ingest) {
				in.Incremental = &pipeline.Incremental{Field: "at", Param: "since", Lookback: time.Hour}
				in.Version = "at"
			})
			r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
			r.awaitPasses(t, 2)
			r.stop()
			if got := a.requests()[1].Get("since"); got != want {
				t.Errorf("asks since %q, want %q", got, want)
			}
		})
	}
}

// TestStubsOfDeletedRecords have no time of their change: they come after what is there, and what comes later after
// them.
func TestStubsOfDeletedRecords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers []string
		raw     []string
		letters int
	}{
		"a stub": {[]string{
			`{"data":[{"id":1,"at":"2024-03-01T00:00:00Z"},{"id":2,"at":"2024-03-02T00:00:00Z"},{"id":3}]}`, `{"data":[{"id":1,"deleted":true},{"id":2,"at":null}]}`,
			`{"data":[{"id":1,"at":"2024-03-03T00:00:00Z"}]}`,
		}, []string{
			"1: 1709251200000000000", "1: 1709337600000000000", "1: 1709424000000000000", "2: 1709337600000000000", "2: 1709337600000000000", "3: 1709337600000000000",
		}, 0},
		"a time to come": {[]string{`{"data":[{"id":1,"at":"9999-12-31T00:00:00Z"},{"id":2}]}`}, []string{"1: 9223372036854775807"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newScript(t, saying(c.answers)...)
			kafka := testkafka.New(t)
			s := a.stream(func(in *pipeline.Ingest) {
				in.Incremental = &pipeline.Incremental{Field: "at", Param: "since"}
				in.Version = "at"
			})
			r := start(t, newPipeline(kafka.ListenAddrs(), s), "one", testConfig())
			r.awaitPasses(t, 4)
			r.stop()
			if got := letters(t, kafka.ListenAddrs()); len(got) != c.letters {
				t.Errorf("letters %v, want %d", got, c.letters)
			}
			if d := cmp.Diff(c.raw, sources(t, kafka.ListenAddrs())); d != "" {
				t.Errorf("versions in raw (-want +got):\n%s", d)
			}
		})
	}
}
