package cursor_test

import (
	"math"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/pipeline"
)

func TestVersionGrowsWithTheValue(t *testing.T) {
	for _, ascending := range [][]string{
		{`-5`, `0`, `7`, `1e3`, `9007199254740993`, `9223372036854775807`},
		{`"1"`, `"20"`, `"300"`},
		{`1.5`, `2.5`, `1700000000.25`},
		{`"1969-12-31T23:59:59Z"`, `"2024-01-01"`, `"2024-01-01T00:00:00.000001Z"`, `"2024-01-01T03:00:01+02:00"`, `"2024-01-01 01:00:02"`, `"9999-12-31T00:00:00Z"`},
	} {
		last, first := int64(0), true
		for _, v := range ascending {
			n, ok := cursor.Version(jsontext.Value(v))
			if !ok || !first && n <= last {
				t.Errorf("version of %s is %d (%v), after %d", v, n, ok, last)
			}
			last, first = n, false
		}
	}
	for _, v := range []string{`null`, `true`, `{}`, `[]`, `"yesterday"`, `""`, `"NaN"`} {
		if n, ok := cursor.Version(jsontext.Value(v)); ok {
			t.Errorf("%s has version %d", v, n)
		}
	}
	if n, ok := cursor.Version(jsontext.Value("1e300")); n != math.MaxInt64 || !ok {
		t.Errorf("1e300 is %d", n)
	}
}

func TestAsk(t *testing.T) {
	at := time.Date(2024, 5, 1, 12, 0, 0, 999_999_000, time.UTC)
	for _, c := range []struct {
		format, field, want string
		lookback            time.Duration
		from                int64
	}{
		{"rfc3339", `"2024-05-01T12:00:00.999999Z"`, "2024-05-01T11:50:00Z", 10 * time.Minute, at.Truncate(time.Second).Add(-10 * time.Minute).UnixMicro()},
		{"rfc3339", `1714564800999`, "2024-05-01T12:00:00Z", 0, at.Truncate(time.Second).UnixMicro()},
		{"unix", `"2024-05-01T12:00:00.999999Z"`, "1714564800", 0, at.Truncate(time.Second).UnixMicro()},
		{"unix", `1714564800`, "1714564740", time.Minute, at.Truncate(time.Second).Add(-time.Minute).UnixMicro()},
		{"unix_ms", `1714564800999`, "1714564800999", 0, at.Truncate(time.Millisecond).UnixMicro()},
		{"integer", `12345`, "12345", time.Hour, 12345},
		{"unix", `-1.5`, "-2", 0, -2e6},
	} {
		s := cursor.NewScale(&pipeline.Incremental{Format: c.format, Lookback: c.lookback})
		since, ok := s.Value(jsontext.Value(c.field))
		got, from := s.Ask(since)
		if !ok || got != c.want || from != c.from {
			t.Errorf("%s of %s: asks %s (%d), want %s (%d)", c.format, c.field, got, from, c.want, c.from)
		}
	}
	if _, ok := cursor.NewScale(&pipeline.Incremental{Format: "integer"}).Value(jsontext.Value(`"2024-05-01"`)); ok {
		t.Error("a time was taken for an integer")
	}
}
