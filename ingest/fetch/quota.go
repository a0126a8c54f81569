package fetch

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Headers that tell how many requests are left, and when there are more: of most APIs, and of the drafts of the IETF
// before they had one header (draft-ietf-httpapi-ratelimit-headers).
var (
	leftNames  = []string{"Ratelimit-Remaining", "X-Ratelimit-Remaining", "X-Rate-Limit-Remaining"}
	limitNames = []string{"Ratelimit-Limit", "X-Ratelimit-Limit", "X-Rate-Limit-Limit"}
	resetNames = []string{"Ratelimit-Reset", "X-Ratelimit-Reset", "X-Rate-Limit-Reset"}
)

// told is what headers tell of a quota.
type told struct {
	left   int64 // requests
	limit  int64 // of the whole quota; 0: not told
	resets time.Time
}

// quotaOf reads what headers tell, given the time of the answer by the API's clock and by ours. Of several quotas, it
// is the one that has the least left. ok is false if they do not tell both what is left and until when.
func quotaOf(h http.Header, api, now time.Time) (t told, ok bool) {
	for name, item := range items(h, "Ratelimit") { // "default";r=50;t=30
		left, r := item["r"]
		in, t0 := item["t"]
		if r && t0 && (!ok || left < t.left) {
			seconds := min(in, int64(maxRetryAfter/time.Second))
			t, ok = told{left: left, resets: now.Add(bounded(time.Duration(seconds) * time.Second)), limit: items(h, "Ratelimit-Policy")[name]["q"]}, true
		}
	}
	if ok {
		return t, true
	}
	if now.Sub(api).Abs() < 2*time.Second {
		api = now // which is more exact than a date in seconds
	}
	for i, name := range leftNames {
		text := strings.TrimSpace(h.Get(name))
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			continue
		}
		if in, found := resetIn(h.Get(resetNames[i]), api); found {
			limit, _, _ := strings.Cut(h.Get(limitNames[i]), ",")
			t = told{left: n, resets: now.Add(in)}
			if n, err := strconv.ParseInt(strings.TrimSpace(limit), 10, 64); err == nil {
				t.limit = n
			}
			return t, true
		}
	}
	return t, false
}

// items reads a list of structured fields (RFC 9651), of which only the parameters that are whole numbers count, by
// name.
func items(h http.Header, name string) map[string]map[string]int64 {
	list := h.Values(name)
	if len(list) == 0 {
		return nil
	}
	out := map[string]map[string]int64{}
	for item := range strings.SplitSeq(strings.Join(list, ","), ",") {
		params := strings.Split(item, ";")
		values := map[string]int64{}
		for _, param := range params[1:] {
			name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
			if n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil && n >= 0 {
				values[name] = n
			}
		}
		out[strings.TrimSpace(params[0])] = values
	}
	return out
}

// resetIn reads a time, seconds or milliseconds since 1970, or seconds from now.
func resetIn(text string, api time.Time) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case text == "":
		return 0, false
	case err != nil:
		at, err := http.ParseTime(text)
		if err != nil {
			at, err = time.Parse(time.RFC3339, text)
		}
		return bounded(at.Sub(api)), err == nil
	case n > 1e12:
		return bounded(time.UnixMilli(int64(n)).Sub(api)), true
	case n > 1e9:
		return bounded(time.Unix(int64(n), 0).Sub(api)), true
	case n < 0:
		return 0, false
	}
	return bounded(time.Duration(min(n, maxRetryAfter.Seconds()) * float64(time.Second))), true
}

// bounded is d between nothing and what an API may ask for.
func bounded(d time.Duration) time.Duration { return min(max(d, 0), maxRetryAfter) }
