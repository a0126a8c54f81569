package fetch

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/pipeline"
)

// maxRetryAfter bounds what an API may ask for: a wrong clock must not stop a stream for days.
const maxRetryAfter = time.Hour

// retryAfter reads the Retry-After header (RFC 9110, section 10.2.3): seconds, or an HTTP date.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	var d time.Duration
	if s, err := strconv.ParseFloat(text, 64); err == nil && s == s {
		d = time.Duration(min(max(s, 0), maxRetryAfter.Seconds()) * float64(time.Second))
	} else if at, err := http.ParseTime(text); err == nil {
		d = at.Sub(now)
	} else {
		return 0, false
	}
	return min(max(d, 0), maxRetryAfter), true
}

// backoff is how long to wait after the attempt of that number, from 1: exponential with full jitter, so that many
// clients that failed together do not come back together.
func backoff(r pipeline.Retry, attempt int) time.Duration {
	ceiling := r.Max
	if shift := attempt - 1; shift < 32 && r.Initial<<shift > 0 {
		ceiling = min(ceiling, r.Initial<<shift)
	}
	if ceiling <= 0 {
		return 0
	}
	return rand.N(ceiling + 1)
}
