//go:build integration

package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestKillShapes kills and freezes processes of each stage, two of ingest at least, at random moments, over an API
// whose records are reached through child streams, windows of time, keysets and parallel pages, under a refresh token
// that rotates, or are delivered by webhooks, while they change and are deleted. With -kill-servers it takes minutes;
// without, the source is small and it is ingest that is killed.
func TestKillShapes(t *testing.T) {
	s := seed(t)
	size, runs, kills, records := shapesSize{parents: 40, past: 2000, shown: 500}, []string{"ingest-1", "ingest-2", "processor-1", "sink-1"}, 7, 2500
	k := &killer{dice: rand.New(rand.NewPCG(s, 4)), pause: 2500 * time.Millisecond, often: 3}
	names := runs[:2]
	if *serversFlag {
		size, runs, kills, records = shapesSize{parents: 120, past: 6000, shown: 1500}, twoOfEach, *killsFlag*2/3, *recordsFlag/10
		names, k.often = append(slices.Clone(runs), "ingest-1", "ingest-2"), 8
	}
	src := newShapes(t, s, size)
	w := newWorldOf(t, src, s, testservers.Kafka(t), testservers.MySQL(t), nil)
	w.runs, w.fleet.env, k.fleet = runs, src.shapes.sender.env, w.fleet
	k.others = []func() string{k.freezes("ingest-1"), k.freezes("ingest-2"), k.freezes(runs[2+k.dice.IntN(len(runs)-2)])}
	k.untried = func() bool {
		rotated, refused := src.shapes.tokens.tried()
		return rotated < 5 || refused == 0 || src.shapes.sender.again.Load() == 0
	}
	c, err := w.survive(k, names, records, kills, 5*time.Minute)
	t.Log(k)
	if err != nil {
		t.Fatal(err)
	}
	src.shapes.tokens.compare(c)
	t.Logf("%d rotations, %d requests with a void token; %d deliveries, %d attempts more",
		c.counts["rotations"], c.counts["401s"], src.shapes.sender.sent.Load(), src.shapes.sender.again.Load())
	c.mustHold(t)
	copies := c.counts["copies"] > 0 || !*serversFlag // how many there are in so short a time depends on the machine
	if k.untried() || c.counts["tombstones"] == 0 || !copies {
		t.Error("the test did not try what it is for")
	}
	for _, name := range runs {
		w.fleet.stop(name)
	}
}

// freezes stops a process for a while (SIGSTOP): shorter or longer than its session lasts.
func (k *killer) freezes(name string) func() string {
	return func() string {
		p := k.fleet.get(name)
		_ = p.cmd.Process.Signal(syscall.SIGSTOP)
		testkit.Pause(k.fleet.t.Context(), time.Duration(1+k.dice.IntN(14))*time.Second)
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		return fmt.Sprintf("%s-frozen", name)
	}
}
