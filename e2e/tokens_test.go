//go:build integration

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// tokens is a token endpoint whose refresh tokens rotate (RFC 6749, section 6), of the strictest kind that a client can
// live with: a refresh token is void as soon as the access token that came in its place was used, and so is the access
// token before. Until then it may be sent again, for a client that never got the answer. What is void is refused for
// ever.
type tokens struct {
	mu      sync.Mutex
	current pair // in use
	next    pair // handed out, and not used yet
	made    int
	used    time.Time // when the access token in use was used first
	rotated int       // how often
	reused  []string  // refresh tokens that were sent when they were void
	refused int       // requests with an access token that is void
}

type pair struct{ refresh, access string }

const (
	firstRefreshToken = "refresh-0"
	tokenLife         = 3 * time.Second // of an access token, from its first use on; nobody is told
)

func newTokens() *tokens { return &tokens{current: pair{refresh: firstRefreshToken}} }

// token answers a request to the token endpoint, or one whose access token is void.
func (h *shapes) token(w http.ResponseWriter, r *http.Request) (answered bool) {
	if r.URL.Path == "/token" {
		h.tokens.rotate(w, r)
		return true
	}
	if h.tokens.admits(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
		return false
	}
	http.Error(w, `{"message": "the token is void"}`, http.StatusUnauthorized)
	return true
}

func (t *tokens) rotate(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if sent := r.FormValue("refresh_token"); sent != t.current.refresh {
		if sent != t.next.refresh || sent == "" { // one that was replaced before it was used is as void as one before
			t.reused = append(t.reused, sent)
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error": "invalid_grant"}`))
			return
		}
		t.use()
	}
	t.made++
	t.next = pair{fmt.Sprintf("refresh-%d", t.made), fmt.Sprintf("access-%d", t.made)}
	_, _ = fmt.Fprintf(w, `{"access_token": %q, "refresh_token": %q, "token_type": "bearer", "expires_in": 3600}`, t.next.access, t.next.refresh)
}

// use makes what was handed out what is in use: what was before is void.
func (t *tokens) use() {
	t.current, t.next, t.used = t.next, pair{}, time.Now()
	t.rotated++
}

func (t *tokens) admits(access string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if access != "" && access == t.next.access {
		t.use()
	}
	if access != "" && access == t.current.access && time.Since(t.used) < tokenLife {
		return true
	}
	t.refused++
	return false
}

// tried is how often tokens rotated, and how many requests had a void one.
func (t *tokens) tried() (rotated, refused int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rotated, t.refused
}

// compare adds what went wrong to c.
func (t *tokens) compare(c *comparison) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.counts["rotations"], c.counts["401s"] = t.rotated, t.refused
	for _, token := range t.reused {
		c.wrongf("token endpoint: %s was sent when it was void", token)
	}
}
