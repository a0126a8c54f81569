package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func newTestWaits(t *testing.T) (*Waits, *Health, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	h := &Health{}
	return NewWaits("sink", Env{Log: slog.New(slog.NewTextHandler(&log, nil)), Health: h}), h, &log
}

func lines(log *bytes.Buffer) int { return strings.Count(log.String(), "\n") }

func TestWaitsTellOnceAServer(t *testing.T) {
	w, h, log := newTestWaits(t)
	refused := errors.New("connection refused")
	w.On("Kafka", "a", fmt.Errorf("attempt 1: %w", refused))
	w.On("Kafka", "a", fmt.Errorf("attempt 2: %w", refused))
	w.On("Kafka", "b", refused)
	if n := lines(log); n != 1 {
		t.Fatalf("%d lines for one cause:\n%s", n, log)
	}
	if got, want := h.Waiting()["sink"], "Kafka: a: attempt 2: connection refused; Kafka: b: connection refused"; got != want {
		t.Errorf("health says %q, want %q", got, want)
	}
	w.On("Kafka", "a", errors.New("not authorised"))
	if n := lines(log); n != 2 {
		t.Errorf("%d lines after a second cause, want 2:\n%s", n, log)
	}
	w.Done("Kafka", "a")
	if n := lines(log); n != 2 || len(h.Waiting()) == 0 {
		t.Errorf("b still waits; %d lines:\n%s", n, log)
	}
	w.Done("Kafka", "b")
	w.Done("Kafka", "b")
	if n := lines(log); n != 3 || len(h.Waiting()) != 0 {
		t.Errorf("%d lines at the end, want 3, health %v:\n%s", n, h.Waiting(), log)
	}
}

func TestWaitsDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, log := newTestWaits(t)
		for range 200 { // a server that comes and goes
			w.On("Kafka", "a", errors.New("unknown topic id"))
			w.Done("Kafka", "a")
			time.Sleep(time.Second)
		}
		if n := lines(log); n > 8 {
			t.Errorf("%d lines in 200 s, want 2 a minute:\n%s", n, log)
		}
	})
}

// TestWaitsDoNotGuess: a broker that goes away is no reason to look for TLS or SASL.
func TestWaitsDoNotGuess(t *testing.T) {
	w, h, log := newTestWaits(t)
	w.On("Kafka", "", fmt.Errorf("unable to join group session: %w", &kgo.ErrFirstReadEOF{}))
	const want = "unable to join group session: the broker closed the connection"
	if got := h.Waiting()["sink"]; got != "Kafka: "+want || !strings.Contains(log.String(), want+`"`) {
		t.Errorf("health %q, log %s", got, log)
	}
}

func TestWaitsNameFewInHealth(t *testing.T) {
	w, h, _ := newTestWaits(t)
	for i := range 1000 {
		w.On("api.example.com", fmt.Sprintf("slice %03d", i), errors.New("503"))
	}
	if got := h.Waiting()["sink"]; !strings.HasSuffix(got, "and 995 more") || len(got) > 300 {
		t.Errorf("health says %q", got)
	}
	for i := range 1000 {
		w.Drop(fmt.Sprintf("slice %03d", i))
	}
	if len(h.Waiting()) != 0 {
		t.Errorf("still waiting: %v", h.Waiting())
	}
}

func TestPersist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, h, _ := newTestWaits(t)
		calls := 0
		err := w.Persist(t.Context(), Attempts{Server: "MySQL", Timeout: time.Second}, func(ctx context.Context) error {
			if calls++; calls == 1 {
				<-ctx.Done() // an attempt ends by itself
				return ctx.Err()
			}
			if calls == 2 {
				return errors.New("refused")
			}
			if len(h.Waiting()) != 1 {
				t.Error("health does not know of the wait")
			}
			return nil
		})
		if err != nil || calls != 3 || len(h.Waiting()) != 0 {
			t.Errorf("%d calls, %v, health %v", calls, err, h.Waiting())
		}
		permanent := errors.New("no such right")
		a := Attempts{Server: "MySQL", Permanent: func(err error) bool { return errors.Is(err, permanent) }}
		if err := w.Persist(t.Context(), a, func(context.Context) error { return permanent }); !errors.Is(err, permanent) {
			t.Errorf("a permanent error: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err = w.Persist(ctx, a, func(context.Context) error { cancel(); return errors.New("cut off") })
		if err != nil || len(h.Waiting()) != 0 {
			t.Errorf("at the end of the context: %v, health %v", err, h.Waiting())
		}
	})
}

func TestDrainOutlivesItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		hard, cancel := Drain(ctx, 20*time.Second)
		defer cancel()
		stop()
		time.Sleep(19 * time.Second)
		synctest.Wait()
		if hard.Err() != nil {
			t.Error("the work in hand was cancelled too early")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if hard.Err() == nil {
			t.Error("the drain has no end")
		}
	})
}

func TestCloseWithinKills(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		killed := make(chan struct{})
		CloseWithin(time.Second, func() { <-killed }, func() { close(killed) })
		CloseWithin(time.Second, func() {}, func() { t.Error("killed though closed in time") })
	})
}

func TestRanges(t *testing.T) {
	var r Ranges
	Between(&r, "Writers", 0, 1, 64)
	Between(&r, "Drain", time.Minute, 0, time.Hour)
	AtLeast(&r, "PageBytes", 1, 2)
	want := "Writers: 0; it must be 1 to 64\nPageBytes: 1; it must be 2 or more"
	if err := r.Err(); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
