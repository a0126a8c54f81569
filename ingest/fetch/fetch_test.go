package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/pipeline"
)

// transport answers requests without a network, so that time can be synctest's.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func answer(r *http.Request, status int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	return &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), Header: h,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1, Request: r,
	}
}

func settings() pipeline.HTTP {
	return pipeline.HTTP{
		BaseURL: "https://api.test/v1", Timeout: 10 * time.Second,
		Retry: pipeline.Retry{Initial: 100 * time.Millisecond, Max: 2 * time.Second, Attempts: 5},
	}
}

func client(h pipeline.HTTP, t http.RoundTripper) *fetch.Client {
	return fetch.NewClient(h, t, new(fetch.Budgets).For(h), fetch.NewMemory(1<<20, 1<<20, ""))
}

func get(ctx context.Context, c *fetch.Client, u string) (string, error) {
	parsed, err := url.Parse(u)
	if err != nil {
		return "", err
	}
	a, err := c.Get(ctx, parsed, func(*fetch.Answer) error { return nil })
	if err != nil {
		return "", err
	}
	defer a.Body.Close()
	return string(a.Body.Bytes()), nil
}

// TestRetryAfter: both forms are honoured, nonsense falls back to the backoff, and what is too long is cut.
func TestRetryAfter(t *testing.T) {
	for name, c := range map[string]struct {
		header   func() string
		min, max time.Duration
	}{
		"seconds":      {func() string { return "7" }, 7 * time.Second, 7 * time.Second},
		"date":         {func() string { return time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat) }, 89 * time.Second, 90 * time.Second},
		"date in past": {func() string { return time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat) }, 0, 0},
		"far too long": {func() string { return "99999999" }, time.Hour, time.Hour},
		"nonsense":     {func() string { return "soon" }, 0, 100 * time.Millisecond},
		"absent":       {func() string { return "" }, 0, 100 * time.Millisecond},
	} {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := 0
					cl := client(settings(), transport(func(r *http.Request) (*http.Response, error) {
						if n++; n == 1 {
							return answer(r, status, "wait", "Retry-After", c.header()), nil
						}
						return answer(r, http.StatusOK, "[]"), nil
					}))
					start := time.Now()
					body, err := get(t.Context(), cl, "https://api.test/v1")
					took := time.Since(start)
					if err != nil || body != "[]" || took < c.min || took > c.max {
						t.Errorf("%q, %v after %v; want [] after %v to %v", body, err, took, c.min, c.max)
					}
				})
			})
		}
	}
}

// TestBackoffGrowsAndEnds counts attempts and bounds the waits between them.
func TestBackoffGrowsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		start := time.Now()
		cl := client(settings(), transport(func(*http.Request) (*http.Response, error) {
			at = append(at, time.Since(start))
			return nil, errors.New("connection refused")
		}))
		_, err := get(t.Context(), cl, "https://api.test/v1")
		var e *fetch.Error
		if !errors.As(err, &e) || e.Tried != 5 || e.Status != 0 || !strings.Contains(e.Error(), "connection refused (after 5 attempts)") {
			t.Errorf("error %v", err)
		}
		for i := 1; i < len(at); i++ {
			if wait := at[i] - at[i-1]; wait > min(2*time.Second, 100*time.Millisecond<<(i-1)) {
				t.Errorf("wait %d took %v", i, wait)
			}
		}
		if len(at) != 5 {
			t.Errorf("%d attempts, want 5", len(at))
		}
	})
}

func TestOnlyWhatMayHelpIsTriedAgain(t *testing.T) {
	for status, again := range map[int]bool{401: false, 403: false, 404: false, 400: false, 300: false, 408: true, 429: true, 500: true, 502: true} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			cl := client(settings(), transport(func(r *http.Request) (*http.Response, error) {
				n++
				return answer(r, status, `{"error": "because"}`), nil
			}))
			_, err := get(t.Context(), cl, "https://api.test/v1")
			if err == nil || !strings.Contains(err.Error(), "because") || (n > 1) != again {
				t.Errorf("%d: %d attempts, %v", status, n, err)
			}
			if !again && !strings.Contains(err.Error(), "check ") {
				t.Errorf("%d: no hint in %v", status, err)
			}
		})
	}
}

func TestPauseHoldsAllStreamsOfABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := settings()
		var budgets fetch.Budgets
		memory := fetch.NewMemory(1<<20, 1<<20, "")
		var mu sync.Mutex
		var at []time.Duration
		start, first := time.Now(), true
		tr := transport(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			if first {
				first = false
				return answer(r, http.StatusTooManyRequests, "", "Retry-After", "30"), nil
			}
			at = append(at, time.Since(start))
			return answer(r, http.StatusOK, "[]"), nil
		})
		var wg sync.WaitGroup
		for i := range 3 {
			cl := fetch.NewClient(h, tr, budgets.For(h), memory)
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				if _, err := get(t.Context(), cl, "https://api.test/v1"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if slices.Min(at) < 30*time.Second || len(at) != 3 {
			t.Errorf("requests at %v, want three after 30s", at)
		}
	})
}

func TestRateLimitIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := settings()
		h.RateLimit = &pipeline.RateLimit{Requests: 10, Per: time.Second, Burst: 1}
		var budgets fetch.Budgets
		budgets.For(h).Share(1, 2) // another process has the other half
		tr := transport(func(r *http.Request) (*http.Response, error) { return answer(r, http.StatusOK, "[]"), nil })
		start := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			cl := fetch.NewClient(h, tr, budgets.For(h), fetch.NewMemory(1<<20, 1<<20, ""))
			wg.Go(func() {
				for range 10 {
					if _, err := get(t.Context(), cl, "https://api.test/v1"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took < 3790*time.Millisecond || took > 4*time.Second {
			t.Errorf("20 requests took %v, want 3.8s at 5 a second", took)
		}
	})
}

func TestTimeoutCoversTheBody(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "[")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer api.Close()
	h := settings()
	h.BaseURL, h.Timeout, h.Retry.Attempts = api.URL, 50*time.Millisecond, 1
	_, err := get(t.Context(), client(h, http.DefaultTransport), api.URL)
	if err == nil || !strings.Contains(err.Error(), "http.timeout") {
		t.Errorf("error %v", err)
	}
}

// TestNoSecretsInErrors has the API, and the network, tell everything they know.
func TestNoSecretsInErrors(t *testing.T) {
	const bearer, key, header = "b-s3cret/+x", "k-s3cret&=y", "h-s3cret"
	base := func() pipeline.HTTP {
		h := settings()
		h.BaseURL = "https://user:p-s3cret@api.test/v1"
		h.Headers = map[string]pipeline.Secret{"X-Extra": header}
		h.Retry.Attempts = 1
		return h
	}
	byParam, byBearer, byHeader := base(), base(), base()
	byParam.Auth.APIKey = &pipeline.APIKey{Param: "api-code", Value: key}
	byBearer.Auth.Bearer = bearer
	byHeader.Auth.APIKey = &pipeline.APIKey{Header: "X-Key", Value: key}
	for name, h := range map[string]pipeline.HTTP{"param": byParam, "bearer": byBearer, "header": byHeader} {
		for _, status := range []int{0, 200, 401, 500} {
			echo := func(r *http.Request) string {
				all := r.URL.String() + " " + r.URL.Query().Get("api-code")
				for n, v := range r.Header {
					all += fmt.Sprint(" ", n, v)
				}
				return strings.Repeat(all+" ", 3)
			}
			sent := ""
			cl := client(h, transport(func(r *http.Request) (*http.Response, error) {
				sent = echo(r)
				if status == 0 {
					return nil, errors.New("dial " + sent)
				}
				return answer(r, status, echo(r)), nil
			}))
			u, err := url.Parse(h.BaseURL + "?a=1&access_token=t-s3cret")
			if err != nil {
				t.Fatal(err)
			}
			_, err = cl.Get(t.Context(), u, func(a *fetch.Answer) error { return errors.New("got " + string(a.Body.Bytes())) })
			if err == nil || !strings.Contains(sent, "s3cret") {
				t.Fatalf("%s %d: error %v, sent %s", name, status, err, sent)
			}
			// the body may say what it likes of what is not ours
			text := strings.ReplaceAll(err.Error(), "access_token=t-s3cret", "")
			if strings.Contains(text, "s3cret") {
				t.Errorf("%s %d: %v", name, status, err)
			}
			if !strings.Contains(err.Error(), "a=1") {
				t.Errorf("%s %d: the URL is missing in %v", name, status, err)
			}
			if given := cl.Redactor().URL(u); strings.Contains(given, "s3cret") || !strings.Contains(given, "a=1") {
				t.Errorf("%s: URL %s", name, given)
			}
		}
	}
}

// TestCredentialsStayAtHome: neither a next page nor a redirect elsewhere gets them, and what is kept of a URL that
// the API gave has none.
func TestCredentialsStayAtHome(t *testing.T) {
	var elsewhere http.Header
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere = r.Header
		if r.URL.Query().Has("code") {
			t.Errorf("elsewhere was sent %s", r.URL)
		}
		_, _ = io.WriteString(w, "[]")
	}))
	defer other.Close()
	var home http.Header
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		home = r.Header
		if r.URL.Query().Get("code") != "k-s3cret" {
			t.Errorf("sent home: %s", r.URL)
		}
		http.Redirect(w, r, other.URL+"/x", http.StatusFound)
	}))
	defer api.Close()
	h := settings()
	h.BaseURL = api.URL
	h.Hosts = []string{"127.0.0.1"}
	h.Auth.Bearer = "b-s3cret"
	h.Auth.APIKey = &pipeline.APIKey{Param: "code", Value: "k-s3cret"}
	h.Headers = map[string]pipeline.Secret{"X-Extra": "h-s3cret"}
	cl := client(h, http.DefaultTransport)
	for _, u := range []string{api.URL + "/a?x=1", other.URL + "/b?x=1"} {
		elsewhere = nil
		if _, err := get(t.Context(), cl, u); err != nil {
			t.Fatal(err)
		}
		if s := fmt.Sprint(elsewhere); elsewhere == nil || strings.Contains(s, "s3cret") {
			t.Errorf("elsewhere got %s", s)
		}
	}
	if s := fmt.Sprint(home); !strings.Contains(s, "b-s3cret") || !strings.Contains(s, "h-s3cret") {
		t.Errorf("home got %s", s)
	}
	u, _ := url.Parse(api.URL + "/a?x=1&code=k-s3cret")
	if got := cl.Strip(u).String(); got != api.URL+"/a?x=1" {
		t.Errorf("kept %s", got)
	}
}

// TestBodiesSpill: whatever fits neither the page's nor the process's limit goes to a file that is gone afterwards.
func TestBodiesSpill(t *testing.T) {
	dir := t.TempDir()
	m := fetch.NewMemory(300<<10, 200<<10, dir)
	receive := func(n int, size int64) *fetch.Body {
		t.Helper()
		b, err := m.Receive(io.LimitReader(zeros{}, int64(n)), size)
		if err != nil || b.Size() != int64(n) {
			t.Fatalf("%d bytes: %v, %d", n, err, b.Size())
		}
		return b
	}
	small, large, unknown := receive(1000, 1000), receive(250<<10, 250<<10), receive(150<<10, -1)
	third := receive(190<<10, 190<<10) // the process has no more memory for it
	for i, c := range []struct {
		b     *fetch.Body
		inMem bool
	}{{small, true}, {large, false}, {unknown, false}, {third, true}} {
		if got := c.b.Bytes() != nil; got != c.inMem {
			t.Errorf("body %d in memory: %v", i, got)
		}
	}
	same := receive(250<<10, -1)
	h1, err1 := large.Hash()
	h2, err2 := same.Hash()
	if h1 != h2 || err1 != nil || err2 != nil {
		t.Errorf("hashes differ: %v %v", err1, err2)
	}
	fourth := receive(150<<10, 150<<10)
	if fourth.Bytes() != nil {
		t.Error("more in memory than allowed")
	}
	for _, b := range []*fetch.Body{small, large, unknown, third, same, fourth} {
		b.Close()
		b.Close()
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files left: %v, %v", left, err)
	}
	if b := receive(190<<10, 190<<10); b.Bytes() == nil {
		t.Error("memory was not given back")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestNothing: an answer without a body is an answer; a status past the end is one only where it was declared.
func TestNothing(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		body    string
		pastEnd []int
		nothing int
	}{
		"204": {204, "", nil, 204}, "304": {304, "", nil, 304}, "empty 200": {200, "", nil, 200}, "blank 200": {200, "\r\n", nil, 200},
		"200": {200, "{}", nil, 0}, "404 past the end": {404, `{"detail":"Invalid page."}`, []int{400, 404}, 404},
	} {
		cl := client(settings(), transport(func(r *http.Request) (*http.Response, error) { return answer(r, c.status, c.body), nil }))
		u, err := url.Parse("https://api.test/v1")
		if err != nil {
			t.Fatal(err)
		}
		a, err := cl.Get(t.Context(), u, func(*fetch.Answer) error { return nil }, c.pastEnd...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a.Nothing != c.nothing || a.PastEnd != (c.pastEnd != nil) || c.nothing == 404 && a.Body.Size() > 0 {
			t.Errorf("%s: nothing %d, past the end %v, %d bytes", name, a.Nothing, a.PastEnd, a.Body.Size())
		}
		a.Body.Close()
	}
}
