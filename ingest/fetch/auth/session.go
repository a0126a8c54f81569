package auth

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/millrace-io/millrace/pipeline"
)

// Session gives the tokens of one API, which are fetched and expire, or of which there are several. It may be used
// concurrently.
type Session interface {
	// Token is what the next request shows. It waits until there is one. Its errors are an *[Error], or that of ctx.
	Token(ctx context.Context) (string, error)

	// Refused notes that the API has answered 401 to a token. It reports whether the same request may be let through with
	// another.
	Refused(token string) bool

	// Seen notes what the API says of the quota of a token. It reports whether a request that was turned away for it may
	// go at once with another.
	Seen(token string, status int, h http.Header) bool
}

// Error says that no token could be had. Its text holds no secret.
type Error struct {
	URL    string // of the token endpoint
	Status int    // that it answered; 0: there was no answer
	Text   string
	Hint   string // what a person may do; empty: wait
}

func (e *Error) Error() string { return "token of " + e.URL + ": " + e.Text }

// place is where a token stands in a request.
type place struct{ header, prefix, param string }

// sent puts the token of a session, which the context of a request holds, where it belongs.
type sent struct{ place }

func newSent(h pipeline.HTTP) Kind {
	a := &h.Auth
	bearer := sent{place{header: "Authorization", prefix: "Bearer "}}
	switch {
	case len(a.Bearers) > 0, a.OAuth2 != nil, a.JWT != nil:
		return bearer
	case a.APIKey != nil && len(a.APIKey.Values) > 0:
		return sent{place{header: a.APIKey.Header, param: a.APIKey.Param}}
	case a.Login != nil:
		return sent{place{header: a.Login.Header, prefix: a.Login.Prefix, param: a.Login.Param}}
	}
	return nil
}

func (s sent) Apply(req *http.Request) {
	token, ok := tokenOf(req.Context())
	switch {
	case !ok:
	case s.header != "":
		req.Header.Set(s.header, s.prefix+token)
	case s.param != "":
		pair := url.QueryEscape(s.param) + "=" + url.QueryEscape(token)
		if req.URL.RawQuery != "" {
			pair = req.URL.RawQuery + "&" + pair
		}
		req.URL.RawQuery = pair
	}
}

func (s sent) Strip(h http.Header) {
	if s.header != "" {
		h.Del(s.header)
	}
}

func (s sent) Param() string { return s.param }

// Secrets of a session come and go: who has a token hides it.
func (sent) Secrets() []string { return nil }

type tokenKey struct{}

// With is a context for a request that shows a token.
func With(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

func tokenOf(ctx context.Context) (string, bool) {
	token, ok := ctx.Value(tokenKey{}).(string)
	return token, ok
}

// cached is a [Session] with one token at a time, which get fetches. One request fetches it for all.
type cached struct {
	// get fetches a token that is not the refused one. until is the end of its life; zero: it is not known.
	get func(ctx context.Context, refused string) (token string, until time.Time, err error)

	turn    chan struct{} // held by who fetches
	mu      sync.Mutex
	token   string
	renew   time.Time // from then on another is fetched; zero: not before it is refused
	refused string
}

func newCached(get func(ctx context.Context, refused string) (string, time.Time, error)) *cached {
	return &cached{get: get, turn: make(chan struct{}, 1)}
}

// margin is how long before the end of its life a token is not used any more, or a tenth of its life, if that is less.
const margin = time.Minute

func (c *cached) current() (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token, c.token != "" && (c.renew.IsZero() || time.Now().Before(c.renew))
}

// Token is the token in hand, or another if its life ends.
func (c *cached) Token(ctx context.Context) (string, error) {
	if token, ok := c.current(); ok {
		return token, nil
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if token, ok := c.current(); ok {
		return token, nil
	}
	c.mu.Lock()
	refused := c.refused
	c.mu.Unlock()
	token, until, err := c.get(ctx, refused)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token, c.renew = token, time.Time{}
	if !until.IsZero() {
		c.renew = until.Add(-min(margin, time.Until(until)/10))
	}
	return token, nil
}

// Refused drops a token, if it is the one in hand.
func (c *cached) Refused(token string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token == token {
		c.token, c.refused = "", token
	}
	return true
}

// Seen knows no quota.
func (*cached) Seen(string, int, http.Header) bool { return false }
