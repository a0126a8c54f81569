package process

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
)

var errTable = errors.New("sink: table orders does not fit")

// drains is a stage that takes some time to drain.
func drains(name string, after time.Duration) run {
	return run{name, func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(after) // of the bubble
		return nil
	}}
}

func supervised(ctx context.Context, log *bytes.Buffer, runs ...run) (err error, took time.Duration, health *stage.Health) { //nolint:staticcheck // what is looked at first
	health = &stage.Health{}
	begin := time.Now()
	err = supervise(ctx, runs, supervision{drain: 20 * time.Second, log: slog.New(slog.NewTextHandler(log, nil)), health: health})
	return err, time.Since(begin), health
}

func TestACancelledProcessDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err, took, health := supervised(ctx, &bytes.Buffer{}, drains("ingest", 3*time.Second), drains("sink", 7*time.Second))
		if err != nil || took != time.Minute+7*time.Second {
			t.Errorf("%v after %v, want nil after 1m7s", err, took)
		}
		if health.Waiting()["process"] != "draining" {
			t.Errorf("waiting for %v, want draining", health.Waiting())
		}
	})
}

func TestAStageThatFailsDrainsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := run{"sink", func(context.Context) error {
			time.Sleep(time.Second) // of the bubble
			return errTable
		}}
		var log bytes.Buffer
		err, took, _ := supervised(t.Context(), &log, drains("ingest", 3*time.Second), fails)
		if !errors.Is(err, errTable) || took != 4*time.Second {
			t.Errorf("%v after %v, want %v after 4s", err, took, errTable)
		}
		if n := strings.Count(log.String(), errTable.Error()); n != 1 {
			t.Errorf("said %d times while the others drain, want once:\n%s", n, log.String())
		}
	})
}

func TestEveryErrorIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errOther := errors.New("ingest: not drained")
		fails := run{"sink", func(context.Context) error { return errTable }}
		late := run{"ingest", func(ctx context.Context) error {
			<-ctx.Done()
			return errOther
		}}
		err, _, _ := supervised(t.Context(), &bytes.Buffer{}, late, fails)
		if !errors.Is(err, errTable) || !errors.Is(err, errOther) {
			t.Errorf("%v, want both", err)
		}
	})
}

func TestAStageThatDoesNotStopIsNamedAndLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err, took, _ := supervised(ctx, &bytes.Buffer{}, drains("ingest", time.Second), drains("processor", time.Hour))
		if err == nil || !strings.HasPrefix(err.Error(), "processor: not stopped after 25s") || took != time.Minute+25*time.Second {
			t.Errorf("%v after %v, want the processor named after 1m25s", err, took)
		}
		time.Sleep(time.Hour) // of the bubble: the processor ends before it does
	})
}
