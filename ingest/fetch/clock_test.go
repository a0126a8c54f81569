package fetch

import (
	"net/http"
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	date := time.Date(2024, 5, 1, 12, 0, 10, 0, time.UTC)
	for name, c := range map[string]struct {
		headers map[string]string
		took    time.Duration
		want    time.Time
	}{
		"date":                 {map[string]string{"Date": "Wed, 01 May 2024 12:00:10 GMT"}, time.Second, date.Add(-3 * time.Second)},
		"from a cache":         {map[string]string{"Date": "Wed, 01 May 2024 12:00:10 GMT", "Age": "60"}, 0, date.Add(-62 * time.Second)},
		"an age that is wrong": {map[string]string{"Date": "Wed, 01 May 2024 12:00:10 GMT", "Age": "-5"}, 0, date.Add(-2 * time.Second)},
		"asctime":              {map[string]string{"Date": "Wed May  1 12:00:10 2024"}, 0, date.Add(-2 * time.Second)},
		"none":                 {nil, 0, time.Time{}},
		"no date":              {map[string]string{"Date": "2024-05-01T12:00:10Z"}, 0, time.Time{}},
	} {
		h := http.Header{}
		for k, v := range c.headers {
			h.Set(k, v)
		}
		if got := clock(h, c.took); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
