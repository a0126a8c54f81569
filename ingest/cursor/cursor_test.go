package cursor_test

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/pipeline"
)

func scaleOf(t *testing.T, zone string, i pipeline.Incremental) cursor.Scale {
	t.Helper()
	s, err := cursor.NewScale(&pipeline.Ingest{TimeZone: zone, Incremental: &i})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAsk(t *testing.T) {
	at := time.Date(2024, 5, 1, 12, 0, 0, 999_999_000, time.UTC)
	const day = 24 * time.Hour
	for _, c := range []struct {
		format, zone, field, want string
		lookback                  time.Duration
		from                      int64
	}{
		{"rfc3339", "", `"2024-05-01T12:00:00.999999Z"`, "2024-05-01T11:50:00Z", 10 * time.Minute, at.Truncate(time.Second).Add(-10 * time.Minute).UnixMicro()},
		{"rfc3339", "", `1714564800999`, "2024-05-01T12:00:00Z", 0, at.Truncate(time.Second).UnixMicro()},
		{"unix", "", `"2024-05-01T12:00:00.999999Z"`, "1714564800", 0, at.Truncate(time.Second).UnixMicro()},
		{"unix", "", `1714564800`, "1714564740", time.Minute, at.Truncate(time.Second).Add(-time.Minute).UnixMicro()},
		{"unix_ms", "", `1714564800999`, "1714564800999", 0, at.Truncate(time.Millisecond).UnixMicro()},
		{"unix_us", "", `"2024-05-01T12:00:00.999999Z"`, "1714564800999999", 0, at.UnixMicro()},
		{"unix_ns", "", `"2024-05-01T12:00:00.999999999Z"`, "1714564800999999000", 0, at.UnixMicro()},
		{"date", "UTC", `"2024-05-01T12:00:00Z"`, "2024-05-01", 0, at.Truncate(day).UnixMicro()},
		{"integer", "", `12345`, "12345", time.Hour, 12345},
		{"unix", "", `-1.5`, "-2", 0, -2e6},

		// Without a format, as the field is; all that ISO 8601 has with a zone is sent as RFC 3339.
		{"", "", `"2024-05-01T12:00:00.999Z"`, "2024-05-01T12:00:00Z", 0, at.Truncate(time.Second).UnixMicro()},
		{"", "", `"2024-05-01T14:00:00.000+0200"`, "2024-05-01T12:00:00Z", 0, at.Truncate(time.Second).UnixMicro()},
		{"", "", `"2024-05-01 12:00:00\u002b00"`, "2024-05-01T12:00:00Z", 0, at.Truncate(time.Second).UnixMicro()},
		{"", "", `"2024-05-01T12:00Z"`, "2024-05-01T12:00:00Z", 0, at.Truncate(time.Second).UnixMicro()},
		{"", "", `1714564800`, "1714564800", 0, at.Truncate(time.Second).UnixMicro()},
		{"", "", `"1714564800"`, "1714564800", 0, at.Truncate(time.Second).UnixMicro()},
		{"", "", `1714564800.999`, "1714564800", 0, at.Truncate(time.Second).UnixMicro()},
		{"", "", `1714564800999`, "1714564800999", 0, at.Truncate(time.Millisecond).UnixMicro()},
		{"", "", `1714564800999999`, "1714564800999999", 0, at.UnixMicro()},
		{"", "", `1714564800999999999`, "1714564800999999000", 0, at.UnixMicro()},
		{"", "", `"Wed, 01 May 2024 12:00:00 GMT"`, "Wed, 01 May 2024 12:00:00 GMT", 0, at.Truncate(time.Second).UnixMicro()},

		// Without a zone: a day, until it is known.
		{"", "", `"2024-05-01 12:00:00.999"`, "2024-04-30 12:00:00.000", 0, at.Truncate(time.Second).Add(-day).UnixMicro()},
		{"", "", `"2024-05-01T12:00:00"`, "2024-04-29T12:00:00", 2 * day, at.Truncate(time.Second).Add(-2 * day).UnixMicro()},
		{"rfc3339", "", `"2024-05-01T12:00:00"`, "2024-04-30T12:00:00Z", 0, at.Truncate(time.Second).Add(-day).UnixMicro()},
		{"", "", `"2024-05-01"`, "2024-04-30", 0, at.Truncate(day).Add(-day).UnixMicro()},
		{"", "UTC", `"2024-05-01 12:00:00"`, "2024-05-01 12:00:00", 0, at.Truncate(time.Second).UnixMicro()},
		{"", "Asia/Kolkata", `"2024-05-01 17:30:00"`, "2024-05-01 17:30:00", 0, at.Truncate(time.Second).UnixMicro()},
		{"rfc3339", "Asia/Kolkata", `"2024-05-01 17:30:00"`, "2024-05-01T12:00:00Z", 0, at.Truncate(time.Second).UnixMicro()},
		{"%d.%m.%Y %H:%M", "", `"01.05.2024 12:00"`, "30.04.2024 12:00", 0, at.Truncate(time.Second).Add(-day).UnixMicro()},
		{"%d.%m.%Y %H:%M", "Asia/Kolkata", `"01.05.2024 17:30"`, "01.05.2024 17:30", 0, at.Truncate(time.Second).UnixMicro()},
		// At 3 o'clock of 27 October 2024 it was 2 again in Berlin.
		{"", "Europe/Berlin", `"2024-10-27 03:30:00"`, "2024-10-27 02:30:00", 0, time.Date(2024, 10, 27, 1, 30, 0, 0, time.UTC).UnixMicro()},
		{"", "Europe/Berlin", `"2024-03-31 04:30:00"`, "2024-03-31 04:30:00", 0, time.Date(2024, 3, 31, 2, 30, 0, 0, time.UTC).UnixMicro()},
	} {
		s := scaleOf(t, c.zone, pipeline.Incremental{Format: c.format, Lookback: c.lookback})
		since, err := s.Value(jsontext.Value(c.field))
		got, from := s.Ask(since, s.Form(jsontext.Value(c.field)))
		if err != nil || got != c.want || from != c.from {
			t.Errorf("%s of %s: asks %s (%d), want %s (%d); %v", c.format, c.field, got, from, c.want, c.from, err)
		}
	}
	for format, bad := range map[string]string{"integer": `"2024-05-01"`, "": `"the day before"`, "rfc3339": `true`, "%Y": `"2024-01-01"`} {
		if n, err := scaleOf(t, "", pipeline.Incremental{Format: format}).Value(jsontext.Value(bad)); err == nil {
			t.Errorf("%s was read as %d", bad, n)
		}
	}
}

// pass is a pass that begins by our clock at 12:00 and sees pages.
func pass(t *testing.T, kind string, since *int64, pages ...cursor.Seen) cursor.Cursor {
	t.Helper()
	c := cursor.Start(kind)
	c.Since = since
	c = c.Begin(noon, paginate.Position{})
	for i, p := range pages {
		c = c.See(p, i == 0)
		b, err := c.Encode() // a crash between any two pages changes nothing
		if err == nil {
			c, err = cursor.Decode("s/", b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return c.End(noon.Add(time.Hour))
}

var noon = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func page(clock time.Time, values ...int64) cursor.Seen {
	s := cursor.Seen{Clock: clock}
	for _, v := range values {
		if s.High == nil {
			low, high := v, v
			s.Low, s.High = &low, &high
			continue
		}
		s.Mixed = s.Mixed || v < *s.High
		*s.Low, *s.High = min(*s.Low, v), max(*s.High, v)
	}
	return s
}

// TestSinceIsBoundedByTheClockOfTheAPI has records that change while a pass runs, by clocks that differ from ours.
func TestSinceIsBoundedByTheClockOfTheAPI(t *testing.T) {
	micros := func(at time.Time) int64 { return at.UnixMicro() }
	for name, c := range map[string]struct {
		pages []cursor.Seen
		want  time.Time
	}{
		"theirs is behind": {[]cursor.Seen{
			page(noon.Add(-5*time.Minute), micros(noon.Add(-time.Hour))), page(noon, micros(noon.Add(-4*time.Minute)))}, noon.Add(-5 * time.Minute)},
		"theirs is ahead": {[]cursor.Seen{
			page(noon.Add(5*time.Minute), micros(noon.Add(4*time.Minute))), page(noon.Add(6*time.Minute), micros(noon.Add(6*time.Minute)))}, noon.Add(5 * time.Minute)},
		"nothing is new":      {[]cursor.Seen{page(noon, micros(noon.Add(-time.Hour)))}, noon.Add(-time.Hour)},
		"it does not tell it": {[]cursor.Seen{page(time.Time{}, micros(noon)), page(noon, micros(noon))}, noon.Add(-time.Hour)},
	} {
		got := pass(t, "time", nil, c.pages...)
		if got.Since == nil || *got.Since != micros(c.want) {
			t.Errorf("%s: since is %v, want %s", name, got.Since, c.want)
		}
	}
}

func TestVersionsOfAnotherRuleDoNotCount(t *testing.T) {
	top := int64(9)
	c := cursor.Start("time").Compare("v time 0")
	c = c.Begin(noon, paginate.Position{}).See(cursor.Seen{Top: &top, TopKind: cursor.Time}, true).End(noon)
	if same := c.Begin(noon, paginate.Position{}).Compare("v time 0"); same.Top == nil || *same.Top != top || same.TopKind != cursor.Time {
		t.Errorf("the highest version is forgotten in the next pass: %+v", same)
	}
	if other := c.Compare("v number 6"); other.Top != nil || other.TopKind != cursor.NoVersion {
		t.Errorf("a version of another rule counts: %+v", other)
	}
}

func TestSinceOfIntegersThatComeInNoOrder(t *testing.T) {
	five := int64(5)
	for name, c := range map[string]struct {
		since *int64
		pages []cursor.Seen
		want  int64
	}{
		"ascending":                 {nil, []cursor.Seen{page(noon, 1, 2, 2), page(noon, 3, 9)}, 9},
		"one page in no order":      {nil, []cursor.Seen{page(noon, 7, 3, 6)}, 7},
		"a lower one on the second": {nil, []cursor.Seen{page(noon, 4, 6), page(noon, 5, 9)}, 6},
		"mixed on the second":       {nil, []cursor.Seen{page(noon, 4, 6), page(noon, 9, 8)}, 6},
		"never back":                {&five, []cursor.Seen{page(noon, 4), page(noon, 9, 8)}, 5},
		"none on the first":         {&five, []cursor.Seen{page(noon), page(noon, 9, 8)}, 5},
	} {
		if got := pass(t, "integer", c.since, c.pages...); got.Since == nil || *got.Since != c.want {
			t.Errorf("%s: since is %v, want %d", name, got.Since, c.want)
		}
	}
}
