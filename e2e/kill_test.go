//go:build integration

package e2e

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestKill kills two processes of each stage, at random moments, while the source changes and fails; with -kill-servers
// the broker and mysqld too, which are also frozen for a while.
func TestKill(t *testing.T) {
	s := seed(t)
	var w *world
	k := &killer{dice: rand.New(rand.NewPCG(s, 4)), pause: 2500 * time.Millisecond}
	if *serversFlag {
		kafka, mysql := testservers.NewKafka(t), testservers.NewMySQL(t)
		w = newWorld(t, s, kafka.Brokers(), mysql.DSN(), nil)
		k.others = []func() string{
			func() string { kafka.Kill(t); kafka.Start(t); return "broker" },
			func() string { mysql.Kill(t); mysql.Start(t); return "mysqld" },
			func() string { kafka.Pause(t); frozenFor(t, k.dice); kafka.Resume(t); return "broker-frozen" },
			func() string { mysql.Pause(t); frozenFor(t, k.dice); mysql.Resume(t); return "mysqld-frozen" },
		}
	} else {
		w = newWorld(t, s, testservers.Kafka(t), testservers.MySQL(t), nil)
	}
	k.fleet = w.fleet
	c, err := w.survive(k, twoOfEach, *recordsFlag, *killsFlag, 5*time.Minute)
	t.Log(k)
	if err != nil {
		t.Fatal(err)
	}
	c.mustHold(t)
	if c.counts["copies"] == 0 || c.counts["sink letters"] == 0 || c.counts["processor letters"] == 0 || c.counts["tombstones"] == 0 {
		t.Error("the test did not try what it is for")
	}
	for _, name := range twoOfEach {
		w.fleet.stop(name)
	}
}

// frozenFor is how long a server is frozen: shorter or longer than sessions, transactions and locks last.
func frozenFor(t *testing.T, dice *rand.Rand) {
	testkit.Pause(t.Context(), time.Duration(1+dice.IntN(20))*time.Second)
}

// survive runs the processes of w while the source changes and old records are sent again, and has k kill some of the
// named ones, more often on a machine where something is still untried; then it lets everything settle and compares.
func (w *world) survive(k *killer, names []string, records, kills int, settle time.Duration) (*comparison, error) {
	ctx := w.t.Context()
	isSink := func(name string) bool { return strings.HasPrefix(name, "sink-") }
	for _, name := range w.runs {
		if isSink(name) {
			w.fleet.start(name)
		}
	}
	if err := w.watchOffsets(ctx); err != nil {
		return nil, err
	}
	w.fleet.startAll(slices.DeleteFunc(slices.Clone(w.runs), isSink)...)
	busy, rest := context.WithCancel(ctx)
	defer rest()
	changed, again := make(chan struct{}), make(chan int, 1) // again: one send, so that it never waits
	go func() {
		defer close(changed)
		w.changes(busy, records, time.Duration(kills)*(k.pause+1200*time.Millisecond))
	}()
	go func() { again <- w.sendAgain(busy) }()
	for n := 0; n < kills || n < 3*kills && k.untried != nil && k.untried(); n++ {
		k.once(names)
	}
	<-changed
	rest()
	<-again
	return w.verdict(ctx, settle)
}
