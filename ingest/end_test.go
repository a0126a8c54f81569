package ingest_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// runCase runs one stream against answers that f gives for requests, and returns it with the brokers.
func runCase(t *testing.T, p pipeline.Paginate, f func(r *http.Request) (status int, body string), change ...func(*pipeline.Ingest)) (*process, []string) {
	t.Helper()
	a := newAPI(t, 0)
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		status, body := f(r)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	})
	s := a.stream("items", p)
	for _, c := range change {
		c(&s.Ingest)
	}
	brokers := testkafka.New(t).ListenAddrs()
	return start(t, newPipeline(brokers, s), "one", testConfig()), brokers
}

// awaitTrouble waits until the stream says why it does not go on. Then no pass has ended.
func (r *process) awaitTrouble(t *testing.T, words string) {
	t.Helper()
	testkit.Eventually(t, patience, testkit.That("the stream says "+words, func() bool {
		return strings.Contains(r.Health.Waiting()["ingest"], words)
	}))
	if n := r.metric(t, "millrace_ingest_passes_total"); n != 0 {
		t.Errorf("%v passes ended", n)
	}
	if n := r.metric(t, "millrace_ingest_waiting"); n != 1 {
		t.Errorf("%v slices wait, says the metric; want 1", n)
	}
}

func number(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.URL.Query().Get(name))
	return n
}

// records writes the records with ids from one number to before another.
func records(from, to int) string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf(`{"id":%d,"text":"text %d"}`, i, i))
	}
	return "[" + strings.Join(all, ",") + "]"
}

// TestWhereAPassEnds: what an API can do at the end of its pages, and all records are there.
//
// Guards against meltano/sdk#2980.
func TestWhereAPassEnds(t *testing.T) {
	page := func(stop pipeline.StopRule, size int, pastEnd ...int) pipeline.Paginate {
		return pipeline.Paginate{Page: &pipeline.PageNumber{Param: "page", Size: size, Stop: stop, PastEnd: pastEnd}}
	}
	cursor := func(next ...string) pipeline.Paginate {
		return pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: next, Param: "cursor"}}
	}
	for name, c := range map[string]struct {
		p      pipeline.Paginate
		answer func(r *http.Request) (int, string)
		want   int
	}{
		"404 past the end": {page(pipeline.StopRule{}, 0, 404), func(r *http.Request) (int, string) {
			if n := number(r, "page"); n < 2 {
				return 200, `{"data":` + records(2*n, 2*n+2) + `}`
			}
			return 404, `{"detail":"Invalid page."}`
		}, 4},
		"404 after a page that says it is the last": {byPage, func(r *http.Request) (int, string) {
			n := number(r, "page")
			next := "null"
			if n < 2 {
				next = fmt.Sprintf(`"/items?page=%d"`, n+1)
			}
			if n < 3 {
				return 200, fmt.Sprintf(`{"data":%s,"next":%s}`, records(2*n, 2*n+2), next)
			}
			return 404, `{"detail":"Invalid page."}`
		}, 6},
		"the last page again": {page(pipeline.StopRule{}, 0), func(r *http.Request) (int, string) {
			n := min(number(r, "page"), 1)
			return 200, `{"data":` + records(2*n, 2*n+2) + `}`
		}, 4},
		"a cursor of 0": {cursor("next"), func(r *http.Request) (int, string) {
			n := number(r, "cursor")
			return 200, fmt.Sprintf(`{"data":%s,"next":%d}`, records(n, n+2), (n+2)%6)
		}, 6},
		"a cursor that names itself": {cursor("next"), func(r *http.Request) (int, string) {
			n := number(r, "cursor")
			return 200, fmt.Sprintf(`{"data":%s,"next":%d}`, records(n, n+2), min(n+2, 4))
		}, 6},
		"one cursor for the whole pass": {cursor("scroll"), func() func(*http.Request) (int, string) {
			var n atomic.Int64
			return func(*http.Request) (int, string) {
				i := int(n.Add(2)) - 2
				return 200, fmt.Sprintf(`{"data":%s,"scroll":"s"}`, records(i, max(i, min(i+2, 6))))
			}
		}(), 6},
		"pages are counted": {page(pipeline.StopRule{When: "pages", Field: []string{"pages"}}, 0), func(r *http.Request) (int, string) {
			n := number(r, "page")
			return 200, fmt.Sprintf(`{"data":%s,"pages":3}`, records(2*n, 2*n+2))
		}, 6},
		"a hidden record": {byOffset(pipeline.StopRule{}), func(r *http.Request) (int, string) {
			from := number(r, "offset")
			return 200, `{"data":` + strings.NewReplacer(`{"id":4,"text":"text 4"},`, "").Replace(records(from, max(from, min(from+10, 25)))) + `}`
		}, 24},
		"a hidden last record, and a total": {byOffset(pipeline.StopRule{When: "total", Field: []string{"total"}}), func(r *http.Request) (int, string) {
			from := number(r, "offset")
			return 200, `{"total":25,"data":` + records(min(from, 24), max(min(from, 24), min(from+10, 24))) + `}`
		}, 24},
		"a hidden record on a page, and a total": {page(pipeline.StopRule{When: "total", Field: []string{"total"}}, 10), func(r *http.Request) (int, string) {
			from := min(number(r, "page")*10, 25)
			return 200, `{"total":25,"data":` + strings.NewReplacer(`{"id":4,"text":"text 4"},`, "").Replace(records(from, min(from+10, 25))) + `}`
		}, 24},
		"a cap below the limit, and a total": {byOffset(pipeline.StopRule{When: "total", Field: []string{"total"}}), func(r *http.Request) (int, string) {
			from := number(r, "offset")
			return 200, `{"total":25,"data":` + records(from, max(from, min(from+5, 25))) + `}`
		}, 25},
		"a cap below the limit, short": {byOffset(pipeline.StopRule{When: "short"}), func(r *http.Request) (int, string) {
			from := number(r, "offset")
			return 200, `{"data":` + records(from, max(from, min(from+5, 25))) + `}`
		}, 25},
		"an empty page in the middle": {byOffset(pipeline.StopRule{When: "has_more", Field: []string{"more"}}), func(r *http.Request) (int, string) {
			from := number(r, "offset")
			to := min(from+10, 25)
			if from == 10 {
				to = from
			}
			return 200, fmt.Sprintf(`{"data":%s,"more":%v}`, records(from, to), from+10 < 25)
		}, 15},
		"an empty page that says there is more": {page(pipeline.StopRule{}, 0), func(r *http.Request) (int, string) {
			n := number(r, "page")
			if n == 1 {
				return 200, `{"data":[],"has_more":true}`
			}
			return 200, fmt.Sprintf(`{"data":%s,"has_more":%v}`, records(2*n, max(2*n, min(2*n+2, 6))), n < 2)
		}, 4},
		"a flag beside a cursor": {pipeline.Paginate{Cursor: &pipeline.BodyCursor{
			Next: []string{"after"}, Param: "cursor", Stop: pipeline.StopRule{When: "end", Field: []string{"end_of_stream"}},
		}}, func(r *http.Request) (int, string) {
			n := number(r, "cursor")
			return 200, fmt.Sprintf(`{"data":%s,"after":"%d","end_of_stream":%v}`, records(n, n+2), n+2, n >= 4)
		}, 6},
		"a name with a dot": {pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"@odata", "nextLink"}}}, func(r *http.Request) (int, string) {
			n := number(r, "skip")
			next := ""
			if n < 6 {
				next = fmt.Sprintf(`,"@odata.nextLink":"/items?skip=%d&q=a b"`, n+3)
			}
			return 200, fmt.Sprintf(`{"data":%s%s}`, records(n, n+3), next)
		}, 9},
		"no content": {byPage, func(r *http.Request) (int, string) {
			if number(r, "page") == 0 {
				return 200, `{"data":` + records(0, 10) + `}`
			}
			return 204, ""
		}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, brokers := runCase(t, c.p, c.answer)
			r.awaitPass(t)
			r.stop()
			if got := texts(t, brokers, "shop.items.raw"); len(got) != c.want {
				t.Errorf("%d records, want %d", len(got), c.want)
			}
			if d := r.Health.Degraded(); len(d) > 0 {
				t.Errorf("degraded: %v", d)
			}
		})
	}
}

// TestWhatIsNoEnd: where it is not known that there is no more, the pass does not end, and the stream says what it
// found.
//
// Guards against dlt-hub/dlt#2586.
func TestWhatIsNoEnd(t *testing.T) {
	always := func(body string) func(*http.Request) (int, string) {
		return func(*http.Request) (int, string) { return 200, body }
	}
	next := func(path ...string) pipeline.Paginate {
		return pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: path, Param: "cursor"}}
	}
	for name, c := range map[string]struct {
		p      pipeline.Paginate
		answer func(*http.Request) (int, string)
		words  string
	}{
		"a path with a mistake": {next("meta", "nxt"), always(`{"data":[{"id":1}],"meta":{"next":2}}`), "has no field meta.nxt (paginate.cursor.next), and yet there seems to be more: meta.next is 2"},
		"no Link header":        {byLink, always(`{"data":[{"id":1}],"has_more":true}`), "has no Link header, and yet there seems to be more: has_more is true; its fields are: data, has_more"},
		"a full page":           {next("next"), always(`{"data":` + records(0, 10) + `}`), "as many as the parameter size asks for"},
		"an error":              {next("next"), always(`{"data":[],"next":null,"errors":[{"message":"internal"}]}`), `the answer is an error, whatever its status: errors is [{"message":"internal"}]`},
		"an error, no records":  {next("next"), always(`{"ok":false,"error":"too many of you"}`), `ok is false, error is "too many of you"`},
		"null":                  {next("next"), always(`{"data":null,"next":null}`), "null stands where the records should be, at data: if that"},
		"no records":            {next("next"), always(`{"items":[],"next":null}`), "its fields are: items, next"},
		"an undeclared 404": {byPage, func(r *http.Request) (int, string) {
			if number(r, "page") > 0 {
				return 404, "no such page"
			}
			return 200, `{"data":` + records(0, 10) + `}`
		}, "say so with past_end"},
		"an empty page too soon": {byOffset(pipeline.StopRule{When: "total", Field: []string{"total"}}), func(r *http.Request) (int, string) {
			if number(r, "offset") == 10 {
				return 200, `{"data":[],"total":25}`
			}
			return 200, `{"data":` + records(0, 10) + `,"total":25}`
		}, "only 10 of 25 records came before it"},
		"empty pages for ever": {next("next"), func(r *http.Request) (int, string) {
			n := number(r, "cursor")
			return 200, fmt.Sprintf(`{"data":%s,"next":%d}`, records(n, max(n, min(n+1, 3))), n+1)
		}, "21 pages in a row have no records"},
		"empty pages for ever, by number": {byOffset(pipeline.StopRule{When: "has_more", Field: []string{"more"}}), always(`{"data":[],"more":true}`), "21 pages in a row"},
		"a parameter that the API ignores": {next("next"), func() func(*http.Request) (int, string) {
			var n atomic.Int64
			return func(*http.Request) (int, string) { return 200, fmt.Sprintf(`{"data":[{"id":1}],"next":%d}`, n.Add(1)) }
		}(), "exactly the records of the page before"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := runCase(t, c.p, c.answer, func(in *pipeline.Ingest) { in.EmptyPages = 20 })
			r.awaitTrouble(t, c.words)
		})
	}
}

// TestErrorInAnAnswerDoesNotMoveSince: an error in the middle of a pass, whatever its status, is asked again.
func TestErrorInAnAnswerDoesNotMoveSince(t *testing.T) {
	for name, bad := range map[string]string{
		"null": `{"errors":[{"message":"internal"}],"data":null}`, "empty": `{"errors":[{"message":"internal"}],"data":[],"next":null}`,
		"missing": `{"errors":[{"message":"internal"}]}`, "declared": `{"code":17,"data":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var failed atomic.Int64
			r, brokers := runCase(t, pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"next"}, Param: "cursor"}}, func(r *http.Request) (int, string) {
				n := number(r, "cursor")
				if n == 3 && failed.Add(1) < 8 { // more than the attempts at one page
					return 200, bad
				}
				next := "null"
				if n < 6 {
					next = strconv.Itoa(n + 3)
				}
				return 200, fmt.Sprintf(`{"data":%s,"next":%s}`, records(n, n+3), next)
			}, func(in *pipeline.Ingest) {
				if name == "declared" {
					in.ErrorWhen = "has(code) && code != 0"
				}
			})
			testkit.Eventually(t, patience, testkit.That("all records are there", func() bool { return r.metric(t, "millrace_ingest_passes_total") == 1 }))
			r.stop()
			if got := texts(t, brokers, "shop.items.raw"); len(got) != 9 {
				t.Errorf("%d records, want 9", len(got))
			}
		})
	}
}

// TestWhatIsNothing: 204, 304 and an empty 200 are passes without news, and null is where it is declared or the body
// counts none.
func TestWhatIsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
	}{
		"204": {204, ""}, "304": {304, ""}, "empty 200": {200, ""}, "null": {200, `{"data":null}`}, "null of none": {200, `{"data":null,"total":0}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := runCase(t, pipeline.Paginate{}, func(r *http.Request) (int, string) {
				if r.URL.Query().Has("since") {
					return c.status, c.body
				}
				return 200, `{"data":[{"id":1,"updated_at":"2024-03-01T00:00:00Z"}]}`
			}, func(in *pipeline.Ingest) {
				in.Incremental = &pipeline.Incremental{Field: "updated_at", Param: "since", Format: "rfc3339"}
				in.Every, in.NullIsEmpty = 10*time.Millisecond, name == "null"
			})
			r.awaitPasses(t, 3)
			if w := r.Health.Waiting(); len(w) > 0 {
				t.Errorf("waiting: %v", w)
			}
		})
	}
}

// TestDoubtIsToldOnce: a small collection without the cursor's field ends its passes, and that no answer had the field
// is told in log, health and metrics; until one has it.
func TestDoubtIsToldOnce(t *testing.T) {
	var grown atomic.Bool
	r, brokers := runCase(t, pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: []string{"@odata.nextLink"}}}, func(r *http.Request) (int, string) {
		switch {
		case !grown.Load():
			return 200, `{"data":` + records(0, 3) + `}`
		case number(r, "skip") == 0:
			return 200, `{"data":` + records(0, 3) + `,"@odata.nextLink":"?skip=3"}`
		}
		return 200, `{"data":` + records(3, 5) + `}`
	}, func(in *pipeline.Ingest) { in.Every = 10 * time.Millisecond })
	r.awaitPasses(t, 3)

	if log := r.log.String(); strings.Count(log, "each pass ends after its first page") != 1 {
		t.Errorf("told another number of times than once:\n%s", log)
	}
	if d := r.Health.Degraded()["ingest items"]; !strings.Contains(d, `has no field "@odata.nextLink"`) || !strings.Contains(d, "absent_ends: true") {
		t.Errorf("health: %q", d)
	}
	if n := r.metric(t, "millrace_ingest_notices"); n != 1 {
		t.Errorf("metric is %v, want 1", n)
	}
	grown.Store(true)
	testkit.Eventually(t, patience, testkit.That("the notice is cleared", func() bool { return len(r.Health.Degraded()) == 0 && r.metric(t, "millrace_ingest_notices") == 0 }))
	r.awaitPasses(t, 2)
	grown.Store(false) // the field is known by now
	r.awaitPasses(t, 3)
	r.stop()
	if d := r.Health.Degraded(); len(d) > 0 {
		t.Errorf("degraded again: %v", d)
	}
	if got := texts(t, brokers, "shop.items.raw"); len(got) != 5 {
		t.Errorf("%d records, want 5", len(got))
	}
}

// TestPageInTroubleIsAskedForAlone: while a page cannot be had, those after it are not asked for again and again.
func TestPageInTroubleIsAskedForAlone(t *testing.T) {
	t.Parallel()
	var at, beyond atomic.Int64
	r, _ := runCase(t, byPage, func(r *http.Request) (int, string) {
		switch n := number(r, "page"); n {
		case 0:
			return 200, `{"data":` + records(0, 10) + `}`
		case 1:
			at.Add(1)
		default:
			beyond.Add(1)
		}
		return 404, "no such page"
	})
	testkit.Eventually(t, patience, testkit.That("the page is asked for again", func() bool { return at.Load() >= 20 }))
	r.stop()
	if n := beyond.Load(); n > 20 {
		t.Errorf("%d requests for pages after the one that cannot be had", n)
	}
}

// TestCursorsOfAnswersWithoutABody: an answer without a body ends a pass, and so does a page that is passed over;
// neither gives a cursor.
func TestCursorsOfAnswersWithoutABody(t *testing.T) {
	for name, status := range map[string]int{"204": http.StatusNoContent, "200": http.StatusOK, "passed over": http.StatusForbidden} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, 1)
			a.intercept(func(_ int, w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(status)
				return true
			})
			c := testkafka.New(t)
			s := a.stream("items", byCursor)
			s.Ingest.Errors = []pipeline.ErrorRule{{Statuses: []pipeline.StatusRange{{From: 403, To: 403}}, Do: "skip"}}
			r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
			r.awaitPass(t)
			r.stop()
			if got := texts(t, c.ListenAddrs(), "shop.items.raw"); len(got) > 0 {
				t.Errorf("raw has %v", got)
			}
		})
	}
}
