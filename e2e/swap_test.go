//go:build integration

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
)

// changed are the streams that get a second line: of one, with another key and other columns, raw order decides; of the
// other, with other columns, a version does, and records vanish from it.
var changed = []string{"ordered", "vanishing"}

// TestSwap has two streams get other columns, one of them another key, while records come and the tables are read in
// every way: a shadow is built beside each table, compared, swapped, rolled back and swapped again. In the end the
// tables of both lines are what fresh runs make.
func TestSwap(t *testing.T) {
	s := newSwapping(t, newShadowed(t, seed(t), testservers.Kafka(t), testservers.MySQL(t)))
	s.begin()
	s.thrice()
	s.end()
	for name, turns := range s.turns {
		if turns < 3 {
			t.Errorf("%s: %d reads saw another line %d times, want 3", name, s.reads[name], turns)
		}
	}
}

// swapping is a pipeline of which streams get a second line, under traffic and under the eyes of readers.
type swapping struct {
	*audience

	rate     int // changes a second
	swappers []*swapper
	files    [2]string // of before, and with the logic of the second lines
	rest     func()
	wait     func()
	traffic  sync.WaitGroup
}

// newShadowed is a world without the marks of what was applied in tables that are swapped.
func newShadowed(t *testing.T, seed uint64, brokers []string, dsn string) *world {
	t.Helper()
	w := newWorld(t, seed, brokers, dsn, nil)
	w.source.names, w.source.mix, w.shadowed = changed, []string{changed[0], changed[0], changed[1]}, changed
	w.fleet.args = []string{"--streams", strings.Join(changed, ",")}
	return w
}

func newSwapping(t *testing.T, w *world) *swapping {
	t.Helper()
	s := &swapping{audience: &audience{w: w, anchors: map[string]map[int64]bool{}, pause: 100 * time.Millisecond}, rate: 100}
	s.files[0] = w.source.file(w.pipeline, w.brokers, w.dsn)
	s.files[1] = s.files[0]
	for _, stream := range changed {
		s.files[1] = changedSteps(t, s.files[1], stream)
	}
	for _, stream := range changed {
		s.swappers = append(s.swappers, w.swapper(s.files[1], stream))
	}
	return s
}

// begin starts two processes of each stage, with records that stay, and then traffic and readers, until end.
func (s *swapping) begin() {
	w, ctx := s.w, s.w.t.Context()
	w.t.Helper()
	w.fleet.startAll(twoOfEach...)
	if err := w.watchOffsets(ctx); err != nil {
		w.t.Fatal(err)
	}
	w.changes(ctx, 4000, time.Second)
	for _, stream := range changed {
		s.anchors[stream] = w.source.holds(stream, 100)
	}
	for _, stream := range changed {
		if err := testkit.Until(ctx, 2*time.Minute, func() error { return s.hasAnchors(ctx, stream) }); err != nil {
			w.t.Fatal(err)
		}
	}
	busy, rest := context.WithCancel(ctx)
	s.rest = rest
	s.traffic.Go(func() { w.changes(busy, s.rate*3600, time.Hour) }) // until end
	s.traffic.Go(func() { w.sendAgain(busy) })
	s.wait = s.watch(busy)
	w.t.Cleanup(func() {
		s.stop()
		if w.t.Failed() {
			w.t.Logf("readers saw: %s", strings.Join(s.wrong, "\n"))
		}
		for _, p := range w.fleet.running() {
			if w.t.Failed() {
				w.t.Logf("%s:\n%s", p.name, p.tail(40))
			}
		}
	})
}

// thrice builds the second lines, compares them, and swaps them three times.
func (s *swapping) thrice() {
	s.w.t.Helper()
	s.each(func(ctx context.Context, d *swapper) error { return d.shadow(ctx, nil, 0) })
	s.each(s.compared)
	for range 3 {
		s.each(func(ctx context.Context, d *swapper) error { // a slow machine may have a swap taken back
			return testkit.Until(ctx, 5*time.Minute, func() error { return d.swap(ctx) })
		})
		if err := s.seen(s.w.t.Context()); err != nil {
			s.w.t.Fatal(err)
		}
	}
}

// stop ends traffic and readers.
func (s *swapping) stop() {
	s.rest()
	s.traffic.Wait()
	s.wait()
}

func (s *swapping) hasAnchors(ctx context.Context, stream string) error {
	rows, err := scanRows(s.w.db.QueryContext(ctx, "SELECT rev, amount FROM "+stream))
	if err != nil {
		return err
	}
	left := len(s.anchors[stream])
	for _, r := range rows {
		if s.anchors[stream][r.rev] {
			left--
		}
	}
	if left > 0 {
		return fmt.Errorf("the table %s lacks %d of %d rows", stream, left, len(s.anchors[stream]))
	}
	return nil
}

// each does something with all streams at the same time.
func (s *swapping) each(do func(context.Context, *swapper) error) {
	s.w.t.Helper()
	ctx, cancel := context.WithTimeout(s.w.t.Context(), 8*time.Minute)
	defer cancel()
	defer func(from time.Time) { s.w.t.Logf("took %s", time.Since(from).Round(time.Second)) }(time.Now())
	var all sync.WaitGroup
	for _, d := range s.swappers {
		all.Go(func() {
			if err := do(ctx, d); err != nil {
				s.w.t.Error(err)
			}
		})
	}
	all.Wait()
	if s.w.t.Failed() {
		s.w.t.FailNow()
	}
}

// compared looks at what `replay diff` says: the amount of every row is another, or the keys are.
func (s *swapping) compared(ctx context.Context, d *swapper) error {
	out, err := s.w.millrace(ctx, "replay", "diff", d.file, d.stream)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		return fmt.Errorf("diff of %s: %w, want exit code 1\n%s", d.stream, err, out)
	}
	want := map[string][]string{
		"ordered":   {"ordered lacks columns, which are not compared: code, total", "The keys of the two tables differ"},
		"vanishing": {"vanishing lacks columns, which are not compared: total", "amount"},
	}[d.stream]
	for _, text := range want {
		if !strings.Contains(out, text) {
			return fmt.Errorf("diff of %s does not say %q:\n%s", d.stream, text, out)
		}
	}
	return nil
}

// end lets everything settle and compares: the second lines are live.
func (s *swapping) end() {
	w := s.w
	w.t.Helper()
	s.stop()
	for _, wrong := range s.wrong {
		w.t.Error(wrong)
	}
	c, err := w.verdict(w.t.Context(), 5*time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	c.mustHold(w.t)
	for stream, lines := range c.lines {
		if len(lines) == 2 && lines[1].table != stream {
			w.t.Errorf("the table %s is not that of the second line: %+v", stream, lines)
		}
	}
	for _, name := range twoOfEach {
		w.fleet.stop(name)
	}
	w.t.Logf("reads %v, of which so many saw another line than before: %v", s.reads, s.turns)
}
