// With the race detector these take minutes, and other tests run the commands with it.

//go:build !race

package swap_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/swap"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testworld"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// killed runs a command on the lines of triples, which dies as m does. It reports whether it came so far, and returns
// its error else. What has died gives back what it has: else whoever runs the command again waits for it.
func (w *world) killed(m *testkit.Mortal, command func(context.Context, *swap.Lines) error) (bool, error) {
	w.T.Helper()
	env := w.Env("dies")
	env.Kafka = append(env.Kafka, kgo.Dialer(m.Dial))
	x, err := swap.Open(w.Of(triples), "s", env)
	if err != nil {
		w.T.Fatal(err)
	}
	ended := make(chan struct{})
	died, err := m.Live(w.T.Context(), testworld.Patience, func(ctx context.Context) error {
		defer close(ended)
		defer x.Close()
		x.Driver = func(d *sink.Swapper) {
			d.Before = func(string) error {
				if ctx.Err() != nil {
					d.Abandon()
				}
				return ctx.Err()
			}
		}
		return command(ctx, x)
	})
	select {
	case <-ended:
	case <-time.After(testworld.Patience):
		w.T.Fatalf("the command that died at request %d goes on", m.At)
	}
	return died, err
}

// swapDies swaps in a life that ends at a request. It reports whether it came so far.
func (w *world) swapDies(at int64, all bool, ask swap.Ask) bool {
	w.T.Helper()
	for {
		m := testkit.NewMortal(at)
		m.All = all
		died, err := w.killed(m, func(ctx context.Context, x *swap.Lines) error {
			_, err := x.Swap(ctx, ask)
			return err
		})
		if died || err == nil {
			return died
		}
		if !takenBack(err) {
			w.T.Fatalf("not killed at request %d: %v", at, err)
		}
	}
}

// again runs a swap once more that may have died anywhere. In the end that line is live.
func (w *world) again(ask swap.Ask, live uint16) {
	w.T.Helper()
	x := w.lines(triples)
	testkit.Eventually(w.T, testworld.Patience, func() error {
		_, err := x.Swap(w.T.Context(), ask)
		if _, told := errors.AsType[*swap.RefusedError](err); err != nil && !told && !takenBack(err) {
			w.T.Errorf("the swap that is run again: %v", err)
		}
		if is := w.Decided().LiveNumber(); is != live {
			return fmt.Errorf("line %d is live, want %d: %w", is, live, err)
		}
		return nil
	})
}

// TestSwapAndRollbackAreKilled: commands that swap, and swap back, are killed at requests to the brokers, and run
// again, while records come and the table is read. No reader sees anything but a whole table of one line, and after
// each the tables are what fresh runs make. They are killed at requests of any kind too, for while a table stands still,
// a command only looks.
func TestSwapAndRollbackAreKilled(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]struct {
		all    bool
		stride int64
		least  int // kills
	}{
		"at requests that change something": {false, 2, 6},
		"at any request":                    {true, 13, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, doubles)
			w.begin(100)
			w.shadow(triples)
			read := w.watched()
			if kills := w.killSwaps(at.all, at.stride); kills < at.least {
				t.Errorf("%d kills, want %d or more", kills, at.least)
			}
			read()
		})
	}
}

// killSwaps goes to line 2 and back, killed at each of the requests, until there are no more. It returns the number of
// kills.
func (w *world) killSwaps(all bool, stride int64) (kills int) {
	w.T.Helper()
	for at := int64(0); ; at += stride {
		before := kills
		for _, c := range []struct {
			ask         swap.Ask
			live, other uint16
			is, was     testworld.Logic
		}{
			{swap.Ask{Wait: testworld.Patience}, 2, 1, triple, double},
			{swap.Ask{Wait: testworld.Patience, Back: true}, 1, 2, double, triple},
		} {
			stop := w.Traffic(int(at) * 100)
			if w.swapDies(at, all, c.ask) {
				kills++
			}
			w.again(c.ask, c.live)
			stop()
			w.Becomes("t", c.is)
			w.Becomes(fmt.Sprintf("t__g%d", c.other), c.was)
			if w.T.Failed() {
				w.T.Fatalf("to line %d, with a death at request %d", c.live, at)
			}
		}
		if kills == before {
			w.T.Logf("%d kills, the last one before request %d", kills, at)
			return kills
		}
	}
}

// watched is [world.readers] by one that leaves the machine to those who are killed.
func (w *world) watched() (stop func()) {
	return testkit.Run(w.T, func(ctx context.Context) error {
		for ctx.Err() == nil {
			if err := w.whole(); err != nil {
				return err
			}
			testkit.Pause(ctx, 10*time.Millisecond)
		}
		return nil
	})
}

// gone looks for what a line has left that was dropped.
func (w *world) gone(number uint16) {
	w.T.Helper()
	if _, err := w.Read(fmt.Sprintf("t__g%d", number)); err == nil {
		w.T.Errorf("the table of line %d is there", number)
	}
	adm, name := kadm.NewClient(w.Client), topics.LineName(w.Name, "s", number)
	found, err := adm.ListTopics(w.T.Context())
	if err != nil {
		w.T.Fatal(err)
	}
	groups, err := adm.ListGroups(w.T.Context())
	if err != nil {
		w.T.Fatal(err)
	}
	for _, left := range append(found.Names(), groups.Groups()...) {
		if strings.HasPrefix(left, name) {
			w.T.Errorf("%s is there", left)
		}
	}
	if s := w.Decided(); s.Line(number).State != control.LineDropped || s.LiveNumber() != control.BaseLine {
		w.T.Errorf("%+v", s.Lines)
	}
}

// TestDropIsKilled: a command that drops a line is killed at requests to the brokers, and run again. Nothing is left of
// the line, and the stream goes on. Before it is decided that the line goes, a death changes nothing.
func TestDropIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, doubles)
	w.begin(100)
	read := w.watched()
	if kills := w.killDrops(2); kills < 4 {
		t.Errorf("%d kills, want 4 or more", kills)
	}
	read()
}

// killDrops drops lines, killed at each of the requests that change something, until there are no more. It returns the
// number of kills.
func (w *world) killDrops(stride int64) (kills int) {
	w.T.Helper()
	number := w.shadow(triples)
	for at := int64(0); ; at += stride {
		drop := func(ctx context.Context, x *swap.Lines) error {
			_, err := x.Drop(ctx, number)
			return err
		}
		died, err := w.killed(testkit.NewMortal(at), drop)
		if err != nil && !died {
			w.T.Fatalf("not killed at request %d: %v", at, err)
		}
		w.Write(testworld.Some(int(at)*100, 20)...)
		w.Becomes("t", double)
		if died {
			if kills++; w.Decided().Line(number).State == control.LineBuilding {
				w.Becomes(fmt.Sprintf("t__g%d", number), triple)
				continue
			}
			if err := drop(w.T.Context(), w.lines(triples)); err != nil {
				w.T.Fatalf("after a death at request %d: %v", at, err)
			}
		}
		w.gone(number)
		w.Write(testworld.Some(int(at)*100+20, 20)...)
		w.Becomes("t", double)
		if w.T.Failed() {
			w.T.Fatalf("died at request %d: %t", at, died)
		}
		if !died {
			w.T.Logf("%d kills, the last one before request %d", kills, at)
			return kills
		}
		number = w.shadow(triples)
	}
}
