package ingest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// TestUnexpectedAnswersAreDescribed: each stream that gets something else than its page says what, in a line of its
// own: status, content type, the API's own words or the beginning of the body, where a redirect led to, which fields
// are there.
func TestUnexpectedAnswersAreDescribed(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 0)
	type reply struct {
		status int
		kind   string
		body   string
	}
	const page = `<!doctype html><html><head><title>Sign in</title><script>var x = "no";</script></head><body>Please &amp; thanks</body></html>`
	replies := map[string]reply{
		"/html":      {200, "text/html; charset=utf-8", page},
		"/refused":   {200, "application/json", `{"ok":false,"error":"invalid_auth"}`},
		"/graphql":   {200, "application/json", `{"errors":[{"message":"field boom is not defined"}],"data":null}`},
		"/wrongpath": {200, "application/json", `{"items":[{"id":"private"}],"total":1}`},
		"/problem":   {403, "application/problem+json", `{"type":"about:blank","title":"No credit","detail":"The balance is 30","status":403}`},
		"/nested":    {400, "application/json", `{"error":{"code":"bad","message":"limit is too large"},"trace":"noise"}`},
		"/list":      {422, "application/json", `{"errors":[{"field":"since","message":"no time"},{"detail":"and more"}]}`},
		"/xml":       {404, "application/xml", `<Error><Code>NoSuchKey</Code></Error>`},
		"/secret":    {401, "text/plain", "token t0ps3cret is not known"},
		"/broken":    {200, "application/json", `{"data":[{"id":"private"},oops`},
	}
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/login" {
			http.Redirect(w, r, "/html", http.StatusFound)
			return true
		}
		got := replies[r.URL.Path]
		w.Header().Set("Content-Type", got.kind)
		w.WriteHeader(got.status)
		_, _ = io.WriteString(w, got.body)
		return true
	})
	wants := map[string][]string{
		"html":      {"200 OK, text/html; charset=utf-8", "Sign in | Please & thanks"},
		"login":     {"redirected to " + a.URL + "/html", "Sign in"},
		"refused":   {"200 OK, application/json", "invalid_auth"},
		"graphql":   {"field boom is not defined"},
		"wrongpath": {`no array of records at \"data\"`, "its fields are: items, total"},
		"problem":   {"403 Forbidden, application/problem+json: No credit: The balance is 30", "check http.auth"},
		"nested":    {"400 Bad Request, application/json: bad: limit is too large;"},
		"list":      {"no time; and more"},
		"xml":       {"404 Not Found, application/xml: <Error><Code>NoSuchKey"},
		"secret":    {"token [secret] is not known"},
		"broken":    {"not JSON at byte 26", "200 OK, application/json"},
	}
	var streams []pipeline.Stream
	for name := range wants {
		s := a.stream(name, pipeline.Paginate{})
		s.Ingest.HTTP.Auth.Bearer = "t0ps3cret"
		streams = append(streams, s)
	}
	r := start(t, newPipeline(testkafka.New(t).ListenAddrs(), streams...), "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("a line for each stream", func() bool {
		return strings.Count(r.log.String(), "level=WARN") >= len(wants)
	}))
	r.stop()
	log := r.log.String()
	for name, texts := range wants {
		_, line, ok := strings.Cut(log, "who="+name+" ")
		line, _, _ = strings.Cut(line, "\n")
		if !ok {
			t.Errorf("nothing of %s", name)
		}
		for _, text := range texts {
			if !strings.Contains(line, text) {
				t.Errorf("%s: want %s in %s", name, text, line)
			}
		}
	}
	for _, never := range []string{"t0ps3cret", "private", "noise", "var x", "continues", "no longer waiting"} {
		if strings.Contains(log, never) {
			t.Errorf("the log has %q:\n%s", never, log)
		}
	}
	if n := strings.Count(log, "level=WARN"); n != len(wants) {
		t.Errorf("%d warnings of %d streams:\n%s", n, len(wants), log)
	}
}

// TestALongPauseIsToldAtOnce: an API that asks for an hour is not asked three times before somebody knows.
func TestALongPauseIsToldAtOnce(t *testing.T) {
	t.Parallel()
	for status, after := range map[int]string{429: "3600", 503: time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)} {
		a := newAPI(t, 0)
		a.intercept(func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", after)
			http.Error(w, "slow down", status)
			return true
		})
		r := start(t, newPipeline(testkafka.New(t).ListenAddrs(), a.stream("items", byPage)), "one", testConfig())
		testkit.Eventually(t, patience, testkit.That("it is told", func() bool { return strings.Contains(r.log.String(), "asks for a pause of") }))
		if n := a.count.Load(); n != 1 || !strings.Contains(r.Health.Waiting()["ingest"], "slow down") {
			t.Errorf("%d requests, health %v", n, r.Health.Waiting())
		}
		r.stop()
	}
}

// TestPassesAreSummedUp: the first at once, with what it brought; of many, one line a minute; the last says that it is.
func TestPassesAreSummedUp(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 25)
	once := a.stream("once", byPage)
	often := a.stream("often", byPage)
	often.Ingest.Every = time.Millisecond
	r := start(t, newPipeline(testkafka.New(t).ListenAddrs(), once, often), "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("ten passes, one of them the other stream's", func() bool {
		return r.metric(t, "millrace_ingest_passes_total") >= 10 && strings.Contains(r.log.String(), "finished: ")
	}))
	r.stop()
	log := r.log.String()
	for _, want := range []string{
		"stream=once pages=4 records=25 changed=25 unchanged=0 took=", `because="a page without records" next="at the next start"`, "finished: without ingest.every",
		"stream=often pages=4 records=25 changed=25 unchanged=0 took=", `next="in 0s"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("want %s", want)
		}
	}
	if n := strings.Count(log, "pass ended"); n < 2 || n > 5 || t.Failed() {
		t.Errorf("%d lines of passes:\n%s", n, log)
	}
}
