package stage

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func newTestNotices(t *testing.T) (*Notices, *Health, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	h := &Health{}
	return NewNotices("sink", Env{Log: slog.New(slog.NewTextHandler(&log, nil)), Health: h, Metrics: prometheus.NewRegistry()}), h, &log
}

func TestNoticesTellOnce(t *testing.T) {
	n, h, log := newTestNotices(t)
	for range 3 {
		n.Raise("orders", "field_not_found", "no record so far had the field revison")
		n.Raise("orders", "short_page", "the first page is short")
	}
	if got := lines(log); got != 2 {
		t.Errorf("%d lines for two notices:\n%s", got, log)
	}
	want := "no record so far had the field revison; the first page is short"
	if got := h.Degraded()["sink orders"]; got != want {
		t.Errorf("health: %q, want %q", got, want)
	}
	if len(h.Waiting()) != 0 {
		t.Error("a notice is no wait")
	}
	n.Clear("orders", "field_not_found")
	n.Clear("orders", "short_page")
	if len(h.Degraded()) != 0 {
		t.Errorf("health after all is clear: %v", h.Degraded())
	}
	n.Raise("orders", "short_page", "the first page is short")
	if got := lines(log); got != 2 || len(h.Degraded()) != 1 {
		t.Errorf("the same again: %d lines, want 2, health %v", got, h.Degraded())
	}
}

func TestRefusalsDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, h, log := newTestNotices(t)
		r := NewRefusals(n)
		topic := func(stream string) string { return "shop." + stream + ".dlq" }
		refuse := func(count int) {
			var b Batch
			for i := range count {
				b.Add("orders", "sink.orders", fmt.Sprintf("column email: \"u%d@example.org\" is no bigint", i), fmt.Sprintf("k%d", i))
			}
			r.Committed(&b, topic)
		}
		refuse(100)
		for _, want := range []string{"stream=orders", "key=k0", "count=100", "topic=shop.orders.dlq", "millrace dlq list FILE orders", "u0@example.org"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the first line lacks %s:\n%s", want, log)
			}
		}
		for range 50 {
			refuse(100)
			time.Sleep(time.Second)
		}
		if got := lines(log); got != 1 {
			t.Errorf("%d lines within a minute:\n%s", got, log)
		}
		time.Sleep(time.Minute)
		refuse(1)
		refuse(1)
		if got := lines(log); got != 2 {
			t.Errorf("%d lines after ten times as many, want 2:\n%s", got, log)
		}
		if got := h.Degraded()["sink orders"]; !strings.HasPrefix(got, "5102 records refused, in shop.orders.dlq; the last: sink.orders: ") {
			t.Errorf("health: %q", got)
		}
	})
}

// TestRefusalsAreToldWhenTheRateChanges: few at long intervals are no news, many after them are, and a rate that stays
// is not.
func TestRefusalsAreToldWhenTheRateChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, log := newTestNotices(t)
		r := NewRefusals(n)
		refuse := func(count int, every time.Duration, times int) (told int) {
			before := lines(log)
			for range times {
				var b Batch
				for range count {
					b.Add("orders", "sink.orders", "too long", "k")
				}
				r.Committed(&b, func(stream string) string { return stream })
				time.Sleep(every)
			}
			return lines(log) - before
		}
		for i, step := range []struct {
			count int
			every time.Duration
			times int
			told  int
		}{
			{100, time.Minute, 1, 1},
			{1, 15 * time.Minute, 40, 0},
			{80, 5 * time.Second, 9, 1},   // 860 in all
			{2, time.Second, 30, 0},       // 920
			{9, 24 * time.Hour, 2, 0},     // 938
			{5, time.Second, 10, 1},       // 988
			{100, time.Minute, 60 * 8, 1}, // 48,988: ten times as many as at the line before
			{100, time.Minute, 60 * 5, 0},
		} {
			if told := refuse(step.count, step.every, step.times); told != step.told {
				t.Errorf("step %d: %d lines, want %d:\n%s", i, told, step.told, log)
			}
		}
	})
}

// TestReasonsOfAnyTextDoNotFloodTheLog: a trigger puts a value into its message, without quotes.
func TestReasonsOfAnyTextDoNotFloodTheLog(t *testing.T) {
	n, h, log := newTestNotices(t)
	r := NewRefusals(n)
	for i := range 500 {
		var b Batch
		b.Add("orders", "sink.orders", "no such town: "+strings.Repeat("x", i), "k")
		r.Committed(&b, func(stream string) string { return stream })
	}
	if got := lines(log); got > 25 {
		t.Errorf("%d lines, want about 20", got)
	}
	if got := h.Degraded()["sink orders"]; !strings.HasPrefix(got, "500 records refused") {
		t.Errorf("health: %q", got)
	}
}

func TestReasonKind(t *testing.T) {
	for _, pair := range [][2]string{
		{`column a: "x" is no bigint`, `column a: "yy" is no bigint`},
		{"value 17 is above 10", "value 18000 is above 10"},
		{"Data too long for column 'a' at row 7", "Data too long for column 'b' at row 8"},
	} {
		if a, b := ReasonKind(pair[0]), ReasonKind(pair[1]); a != b {
			t.Errorf("%q and %q differ: %q, %q", pair[0], pair[1], a, b)
		}
	}
	if ReasonKind("too long") == ReasonKind("not a number") {
		t.Error("two reasons are taken for one")
	}
}
