package auth

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What APIs say of a quota: the names of the draft of the IETF before it had one header, and of most APIs.
var (
	remainingNames = []string{"X-Ratelimit-Remaining", "Ratelimit-Remaining", "X-Rate-Limit-Remaining"}
	resetNames     = []string{"X-Ratelimit-Reset", "Ratelimit-Reset", "X-Rate-Limit-Reset"}
)

// remaining is how many requests are left of a quota.
func remaining(h http.Header) (n int64, ok bool) {
	for _, name := range remainingNames {
		if n, err := strconv.ParseInt(strings.TrimSpace(h.Get(name)), 10, 64); err == nil && n >= 0 {
			return n, true
		}
	}
	return 0, false
}

// longestRest bounds what an API may ask for: a wrong clock must not stop a token for days.
const longestRest = time.Hour

// resets is when a quota begins again: what Retry-After says, else a time, seconds or milliseconds since 1970, or
// seconds from now.
func resets(h http.Header, now time.Time) (at time.Time, ok bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	for _, name := range resetNames {
		if text == "" {
			text = strings.TrimSpace(h.Get(name))
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case text == "":
		return now, false
	case err != nil:
		if at, err = http.ParseTime(text); err != nil {
			at, err = time.Parse(time.RFC3339, text)
		}
		if err != nil {
			return now, false
		}
	case n > 1e12:
		at = time.UnixMilli(int64(n))
	case n > 1e9:
		at = time.Unix(int64(n), 0)
	default:
		at = now.Add(time.Duration(min(n, longestRest.Seconds()) * float64(time.Second)))
	}
	if latest := now.Add(longestRest); at.After(latest) {
		at = latest
	}
	return at, true
}
