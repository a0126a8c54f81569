package fetch

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// clockMargin is how far apart the clocks of one API may be: what stamps the records is seldom what stamps the answers.
const clockMargin = 2 * time.Second

// clock is a time by the API's clock before which the answer was not looked up: its Date (RFC 9110, section 6.6.1),
// which is that of the answer's end at the latest, less the time that it took, less its Age in a cache that stamps
// answers again (RFC 9111, section 5.1), less a margin. It is zero if the API does not tell its time.
func clock(h http.Header, took time.Duration) time.Time {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	if age, err := strconv.ParseInt(strings.TrimSpace(h.Get("Age")), 10, 32); err == nil && age > 0 {
		date = date.Add(-time.Duration(age) * time.Second)
	}
	return date.Add(-took - clockMargin).UTC()
}

// answered is the time of an answer by the clock of its API, or ours where it does not tell.
func answered(h http.Header) time.Time {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		return date
	}
	return time.Now()
}
