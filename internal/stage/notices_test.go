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
