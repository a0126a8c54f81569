package cursor_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/pipeline"
)

func zoned(t *testing.T, format, zone string) cursor.Scale {
	t.Helper()
	s, err := cursor.NewScale(&pipeline.Ingest{TimeZone: zone, Incremental: &pipeline.Incremental{Field: "at", Format: format}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func span(t *testing.T, from, to string) cursor.Span {
	t.Helper()
	at := func(text string) int64 {
		v, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return v.UnixMicro()
	}
	return cursor.Span{From: at(from), To: at(to)}
}

// TestBounds: what is sent never leaves out a part of the window.
func TestBounds(t *testing.T) {
	for _, c := range []struct {
		format, zone, from, to string
		exclusive, days        bool
		since, until           string
	}{
		{"rfc3339", "UTC", "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", false, false, "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"},
		{"rfc3339", "UTC", "2024-01-01T00:00:00.5Z", "2024-01-02T00:00:00.5Z", false, false, "2024-01-01T00:00:00Z", "2024-01-02T00:00:01Z"},
		{"rfc3339", "UTC", "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", true, false, "2023-12-31T23:59:59Z", "2024-01-02T00:00:00Z"},
		{"rfc3339", "UTC", "2024-01-01T00:00:00.5Z", "2024-01-02T00:00:00Z", true, false, "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"},
		{"unix", "", "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", false, false, "1704067200", "1704153600"},
		{"date", "UTC", "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", false, false, "2024-01-01", "2024-01-02"},
		{"date", "UTC", "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", false, true, "2024-01-01", "2024-01-01"},
		{"date", "UTC", "2024-01-01T00:00:00Z", "2024-01-02T10:00:00Z", false, true, "2024-01-01", "2024-01-02"},
		{"date", "UTC", "2024-01-01T00:00:00Z", "2024-01-02T10:00:00Z", true, false, "2023-12-31", "2024-01-03"},
		{"date", "Europe/Berlin", "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z", false, true, "2024-03-31", "2024-03-31"},
		{"%Y-%m-%d %H:%M", "Europe/Berlin", "2024-10-27T00:10:00Z", "2024-10-27T01:10:00Z", false, false, "2024-10-27 01:10", "2024-10-27 03:10"},
	} {
		since, until := zoned(t, c.format, c.zone).Bounds(span(t, c.from, c.to), "", c.exclusive, c.days)
		if since != c.since || until != c.until {
			t.Errorf("%+v: %s to %s", c, since, until)
		}
	}
}

func TestStepAndHalf(t *testing.T) {
	berlin := zoned(t, "date", "Europe/Berlin")
	day := span(t, "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z") // of 23 hours
	if got := berlin.Step(day.From, 24*time.Hour); got != day.To {
		t.Errorf("the day after ends at %v", time.UnixMicro(got).UTC())
	}
	if _, ok := berlin.Half(day, ""); ok {
		t.Error("a day was halved, and a date cannot say how")
	}
	if m, ok := berlin.Half(span(t, "2024-01-01T23:00:00Z", "2024-01-03T23:00:00Z"), ""); !ok || m != span(t, "2024-01-02T23:00:00Z", "2024-01-02T23:00:00Z").From {
		t.Errorf("%v, %v", time.UnixMicro(m).UTC(), ok)
	}
	s := zoned(t, "rfc3339", "UTC")
	w, n := span(t, "2024-01-01T00:00:00.25Z", "2024-01-02T00:00:00Z"), 0
	for ; n < 100; n++ {
		m, ok := s.Half(w, "")
		if !ok {
			break
		}
		if m <= w.From || m >= w.To || m%1_000_000 != 0 {
			t.Fatalf("%v in %v", m, w)
		}
		w.From = m
	}
	if n < 10 || w.To-w.From > 2_000_000 {
		t.Errorf("after %d halves there are %d microseconds", n, w.To-w.From)
	}
}
