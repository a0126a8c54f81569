package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/ingest/fetch/auth"
	"github.com/millrace-io/millrace/pipeline"
)

// memory is an [auth.Store] in memory.
type memory struct {
	mu     sync.Mutex
	value  []byte
	claims int
	fail   func(put int) error // before a Put, counted from 1; nil: none fails
	after  func(put int)       // behind a Put that was done; nil: nothing
	puts   int
}

type memoryClaim struct {
	m *memory
	n int
}

func (m *memory) Claim(context.Context) ([]byte, auth.Claim, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claims++
	return m.value, &memoryClaim{m, m.claims}, nil
}

func (c *memoryClaim) Put(ctx context.Context, value []byte) error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.m.puts++
	switch {
	case c.n != c.m.claims:
		return auth.ErrTaken
	case c.m.fail != nil:
		if err := c.m.fail(c.m.puts); err != nil {
			return err
		}
	}
	c.m.value = value
	if c.m.after != nil {
		c.m.after(c.m.puts)
	}
	return ctx.Err() // as a commit whose answer is not waited for
}

func (c *memoryClaim) Close() {}

// endpoint is a token endpoint whose refresh tokens can be used once.
type endpoint struct {
	*httptest.Server
	mu    sync.Mutex
	valid string // refresh token; it ends in its number
	twice int    // tokens that were sent again
	n     int
	form  []string
	life  int // seconds; 0: it is not told
}

func newEndpoint(t testing.TB) *endpoint {
	e := &endpoint{valid: "refresh-0"}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

// direct answers without a network, for tests whose clock is not real.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	e.mu.Lock()
	defer e.mu.Unlock()
	user, password, _ := r.BasicAuth()
	e.form = append(e.form, user+":"+password+" "+r.PostForm.Encode())
	w.Header().Set("Content-Type", "application/json")
	answer := map[string]any{"token_type": "Bearer"}
	if r.PostForm.Get("grant_type") == "refresh_token" {
		if got := r.PostForm.Get("refresh_token"); got != e.valid {
			e.twice++
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"error":"invalid_grant","error_description":"%s is void"}`, got)
			return
		}
		e.valid = "refresh-" + strconv.Itoa(e.n+1)
		answer["refresh_token"] = e.valid
	}
	e.n++
	answer["access_token"] = "access-" + strconv.Itoa(e.n)
	if e.life > 0 {
		answer["expires_in"] = e.life
	}
	_ = json.NewEncoder(w).Encode(answer)
}

const key = "0123456789abcdef0123456789abcdef"

func (e *endpoint) http() pipeline.HTTP {
	return pipeline.HTTP{BaseURL: "https://api.test", Auth: pipeline.Auth{OAuth2: &pipeline.OAuth2{
		TokenURL: e.URL + "/token", ClientID: "client", ClientSecret: "s3cret", RefreshToken: "refresh-0", Key: key,
		Params: map[string]pipeline.Secret{"audience": "orders"},
	}}}
}

// process is the session of a process of its own.
func process(t testing.TB, h pipeline.HTTP, m *memory) auth.Session {
	t.Helper()
	return processOver(t, http.DefaultTransport, h, m)
}

func processOver(t testing.TB, transport http.RoundTripper, h pipeline.HTTP, m *memory) auth.Session {
	t.Helper()
	sessions := auth.Sessions{Store: func(string) auth.Store { return m }}
	s, err := sessions.For(h, transport)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := sessions.For(h, transport); again != s {
		t.Error("two sessions for the same credentials")
	}
	return s
}

// TestRefreshTokensAreSentOnce: many processes, of which all find the token in hand refused at the same time, and
// claims that come between the steps of one another.
func TestRefreshTokensAreSentOnce(t *testing.T) {
	t.Parallel()
	e, m := newEndpoint(t), &memory{}
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[int]map[string]bool{}
	for range 4 {
		s := process(t, e.http(), m)
		wg.Go(func() {
			for round := range 3 {
				token, err := s.Token(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if got[round] == nil {
					got[round] = map[string]bool{}
				}
				got[round][token] = true
				mu.Unlock()
				if round < 2 && token == "access-"+strconv.Itoa(round+1) {
					s.Refused(token)
				}
			}
		})
	}
	wg.Wait()
	if e.twice > 0 || e.n != 3 {
		t.Errorf("%d refresh tokens were sent again; %d access tokens, want 3: %v", e.twice, e.n, got)
	}
	if form := e.form[0]; !strings.HasPrefix(form, "client:s3cret ") || !strings.Contains(form, "audience=orders") {
		t.Errorf("asked with %s", form)
	}
	if text := string(m.value); strings.Contains(text, "access") || strings.Contains(text, "refresh") {
		t.Errorf("kept in clear text: %s", text)
	}
	again := process(t, e.http(), m) // another process, later
	if token, err := again.Token(t.Context()); err != nil || token != "access-3" {
		t.Errorf("%s (%v), want the token that is kept", token, err)
	}
}

// TestTokensAreKeptBeforeTheyAreUsed: a store that does not answer is asked again until the new tokens are in it; one
// that cannot be written costs no refresh token.
func TestTokensAreKeptBeforeTheyAreUsed(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	m := &memory{fail: func(put int) error {
		if put == 2 || put == 3 { // the first is the lease
			return errors.New("broker away")
		}
		return nil
	}}
	token, err := process(t, e.http(), m).Token(t.Context())
	if err != nil || token != "access-1" || m.puts != 4 {
		t.Errorf("%s (%v) after %d puts", token, err, m.puts)
	}
	down := &memory{fail: func(int) error { return errors.New("broker away") }}
	before := e.n
	_, err = process(t, e.http(), down).Token(t.Context())
	if e.n != before || err == nil || !strings.Contains(err.Error(), "broker away") {
		t.Errorf("%d tokens were asked for with no place to keep them: %v", e.n-before, err)
	}
}

// TestStopLeavesNoLease: a process that is stopped while it keeps the lease goes on to the new tokens, and another one
// has them at once.
func TestStopLeavesNoLease(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	ctx, cancel := context.WithCancel(t.Context())
	m := &memory{after: func(put int) {
		if put == 1 {
			cancel()
		}
	}}
	_, _ = process(t, e.http(), m).Token(ctx)
	begun := time.Now()
	token, err := process(t, e.http(), m).Token(t.Context())
	if err != nil || token != "access-1" || e.n != 1 {
		t.Errorf("%s (%v) after %v, of %d", token, err, time.Since(begun), e.n)
	}
}

// TestNewTokensAreHeldUntilTheyAreKept: a token endpoint that was asked is not asked again because the store was away.
func TestNewTokensAreHeldUntilTheyAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{Server: &httptest.Server{URL: "http://api.test"}, valid: "refresh-0"}
		m, away := &memory{}, time.Now().Add(3*time.Minute)
		m.fail = func(put int) error {
			if put > 1 && time.Now().Before(away) {
				return errors.New("broker away")
			}
			return nil
		}
		s, failed := processOver(t, direct{e}, e.http(), m), 0
		for {
			token, err := s.Token(t.Context())
			if err != nil {
				failed++
				continue
			}
			if token != "access-1" || e.n != 1 || failed < 2 {
				t.Errorf("%s after %d errors, of %d tokens", token, failed, e.n)
			}
			return
		}
	})
}

// TestAnothersLeaseIsTold, when it lasts.
func TestAnothersLeaseIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{Server: &httptest.Server{URL: "http://api.test"}, valid: "refresh-0"}
		m := &memory{}
		m.fail = func(put int) error {
			if put == 2 {
				panic("killed")
			}
			return nil
		}
		func() {
			defer func() { _ = recover() }()
			_, _ = processOver(t, direct{e}, e.http(), m).Token(t.Context())
		}()
		m.fail, e.valid = nil, "refresh-0" // the API allows it once more
		s := processOver(t, direct{e}, e.http(), m)
		_, err := s.Token(t.Context())
		if err == nil || !strings.Contains(err.Error(), "another process asks for new tokens, or died while it did; nobody else asks before 2000-01-01T00:01:30Z") {
			t.Errorf("error %v", err)
		}
		time.Sleep(90 * time.Second)
		if token, err := s.Token(t.Context()); err != nil || token != "access-2" {
			t.Errorf("%s, %v", token, err)
		}
	})
}

// TestVoidRefreshTokenIsSentOnce, and what an operator can do is told, without the token.
func TestVoidRefreshTokenIsSentOnce(t *testing.T) {
	t.Parallel()
	e, m := newEndpoint(t), &memory{}
	e.valid = "another"
	s := process(t, e.http(), m)
	for range 3 {
		_, err := s.Token(t.Context())
		var told *auth.Error
		if !errors.As(err, &told) || told.Status != http.StatusBadRequest || !strings.Contains(told.Hint, "consent") ||
			strings.Contains(err.Error()+told.Hint, "refresh-0") {
			t.Fatalf("error %v", err)
		}
	}
	if e.twice != 1 {
		t.Errorf("it was sent %d times", e.twice)
	}
	other := e.http()
	o := *other.Auth.OAuth2
	o.Key += "x"
	other.Auth.OAuth2 = &o
	if _, err := process(t, other, m).Token(t.Context()); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("error %v", err)
	}
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	e.life = 3600
	h := e.http()
	h.Auth.OAuth2.RefreshToken, h.Auth.OAuth2.Key, h.Auth.OAuth2.InBody, h.Auth.OAuth2.Scopes = "", "", true, []string{"a", "b"}
	s := process(t, h, nil)
	for range 3 {
		if token, err := s.Token(t.Context()); err != nil || token != "access-1" {
			t.Fatalf("%s: %v", token, err)
		}
	}
	s.Refused("access-0") // an answer that comes late
	s.Refused("access-1")
	if token, err := s.Token(t.Context()); err != nil || token != "access-2" {
		t.Errorf("%s: %v", token, err)
	}
	for _, want := range []string{"grant_type=client_credentials", "scope=a+b", "audience=orders", "client_secret=s3cret"} {
		if !strings.Contains(e.form[0], want) {
			t.Errorf("asked with %s, want %s in it", e.form[0], want)
		}
	}
	e.life = 1 // it ends soon: the next request gets another
	s.Refused("access-2")
	_, _ = s.Token(t.Context())
	deadline := time.Now().Add(10 * time.Second)
	for token := ""; token != "access-4"; token, _ = s.Token(t.Context()) {
		if time.Now().After(deadline) {
			t.Fatal("a token that has expired is used still")
		}
	}
}

// TestTokensTakeTurns: each has a quota, of which the API tells.
func TestTokensTakeTurns(t *testing.T) {
	t.Parallel()
	s := process(t, pipeline.HTTP{Auth: pipeline.Auth{Bearers: []pipeline.Secret{"a", "b"}}}, nil)
	headers := func(left string) http.Header {
		return http.Header{"X-Ratelimit-Remaining": {left}, "X-Ratelimit-Reset": {strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)}}
	}
	want := func(token string) {
		t.Helper()
		if got, err := s.Token(t.Context()); err != nil || got != token {
			t.Fatalf("%s (%v), want %s", got, err, token)
		}
	}
	want("a")
	s.Seen("a", http.StatusOK, headers("10"))
	want("b") // of which nothing is known
	s.Seen("b", http.StatusOK, headers("30"))
	want("b") // which has more left
	if s.Seen("b", http.StatusOK, headers("0")) {
		t.Error("an answer that came is asked for again")
	}
	want("a")
	if s.Seen("a", http.StatusTooManyRequests, headers("0")) {
		t.Error("there is another token, though all are used up")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Token(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want that it waits", err)
	}
	s = process(t, pipeline.HTTP{Auth: pipeline.Auth{APIKey: &pipeline.APIKey{Param: "k", Values: []pipeline.Secret{"a", "b"}}}}, nil)
	if !s.Seen("a", http.StatusTooManyRequests, http.Header{"Retry-After": {"60"}}) || !s.Refused("a") || s.Refused("b") {
		t.Error("a token that is refused is not replaced by the other, or the last one is")
	}
}
