package auth

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
)

// several are tokens of which each has a quota of its own. The one with the most left is shown; one whose quota is used
// up rests until the API says that it has another.
type several struct {
	mu     sync.Mutex
	tokens []quota
}

type quota struct {
	token string
	left  int64     // requests, as the API told last; -1: not known
	rests time.Time // until then it is not shown
}

// restFor is how long a token rests that is refused, or whose API does not say how long.
const restFor = time.Minute

func newSeveral(secrets []pipeline.Secret) *several {
	s := &several{}
	for _, secret := range secrets {
		s.tokens = append(s.tokens, quota{token: secret.Reveal(), left: -1})
	}
	return s
}

// best is the token to show now; else wait is the time until one has rested.
func (s *several) best() (token string, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var best *quota
	for i := range s.tokens {
		q := &s.tokens[i]
		if rest := q.rests.Sub(now); rest > 0 {
			if wait == 0 || rest < wait {
				wait = rest
			}
			continue
		}
		if best == nil || q.left < 0 && best.left >= 0 || best.left >= 0 && q.left > best.left {
			best = q
		}
	}
	if best == nil {
		return "", wait
	}
	if best.left > 0 {
		best.left-- // others may ask before the answer tells
	}
	return best.token, 0
}

// Token waits until a token has rested, if all of them do.
func (s *several) Token(ctx context.Context) (string, error) {
	for {
		token, wait := s.best()
		if token != "" {
			return token, nil
		}
		if err := stage.Sleep(ctx, wait); err != nil {
			return "", err
		}
	}
}

// Refused lets a token rest. If all of them are refused, the API's answer is what it is.
func (s *several) Refused(token string) bool {
	return s.rest(token, time.Now().Add(restFor))
}

// rest lets a token rest, and reports whether there is another that does not.
func (s *several) rest(token string, until time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.tokens {
		if q := &s.tokens[i]; q.token == token {
			q.rests, q.left = until, -1
		}
	}
	return slices.ContainsFunc(s.tokens, func(q quota) bool { return time.Now().After(q.rests) })
}

// Seen notes what is left of a token's quota. 429 uses it up, and so does 403 with nothing left.
func (s *several) Seen(token string, status int, h http.Header) bool {
	left, known := remaining(h)
	used := status == http.StatusTooManyRequests || status == http.StatusForbidden && known && left == 0
	if !used && (!known || left > 0) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range s.tokens {
			if q := &s.tokens[i]; q.token == token && known {
				q.left = left
			}
		}
		return false
	}
	until, ok := resets(h, time.Now())
	if !ok {
		until = time.Now().Add(restFor)
	}
	return s.rest(token, until) && used
}
