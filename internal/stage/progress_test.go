package stage

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
)

// TestProgressTellsWhatIsDone: a line a minute and stream while something is committed, and one when nothing is left.
func TestProgressTellsWhatIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Buffer
		p := NewProgress(Env{Log: slog.New(slog.NewTextHandler(&log, nil))}, "rows", "letters")
		ctx, cancel := context.WithCancel(t.Context())
		var left, asked atomic.Int64
		left.Store(500)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			p.Run(ctx, func(context.Context, ...string) (int64, error) { asked.Add(1); return left.Load(), nil })
		}()
		p.Add("orders", time.Now(), 100, 1)
		p.Add("orders", time.Now(), 100, 1)
		p.Add("users", time.Time{}, 7, 0)
		time.Sleep(61 * time.Second) // of the bubble
		synctest.Wait()
		for _, want := range []string{"stream=orders rows=200 letters=2 lag=500 newest_age=1m0s", "stream=users rows=7 letters=0 lag=500\n"} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("want one line with %q:\n%s", want, log.String())
			}
		}
		p.Add("orders", time.Now(), 1, 0)
		left.Store(0)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := strings.Count(log.String(), "caught up"); n != 1 {
			t.Errorf("told %d times that it caught up, want once:\n%s", n, log.String())
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		before, length := asked.Load(), strings.Count(log.String(), "\n")
		time.Sleep(time.Hour)
		synctest.Wait()
		if asked.Load() != before || strings.Count(log.String(), "\n") != length {
			t.Errorf("an idle hour: asked %d times, %d lines", asked.Load()-before, strings.Count(log.String(), "\n")-length)
		}
		for range 5 { // a live stream, of which some records are on their way whenever it is looked at
			left.Store(90)
			p.Add("orders", time.Now(), 1000, 0)
			time.Sleep(time.Minute)
		}
		left.Store(0)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "caught up"); n != 1 {
			t.Errorf("a live stream: told %d times that it caught up, want no time more:\n%s", n, log.String())
		}
		left.Store(5000)
		for range 3 {
			p.Add("orders", time.Now(), 1000, 0)
			time.Sleep(time.Minute)
		}
		left.Store(0)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "caught up"); n != 2 {
			t.Errorf("told %d times that it caught up, want twice:\n%s", n, log.String())
		}
		cancel()
		<-ended
	})
}
