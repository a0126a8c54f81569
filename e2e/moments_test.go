//go:build integration

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/e2e/proxy"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestKillAtMoments kills processes with a request or an answer on its way: every other time a commit, which has been
// sent and has not arrived, or was done and is not answered; else whatever comes, that of a claim or a rebalance too.
func TestKillAtMoments(t *testing.T) {
	s := seed(t)
	w := newWorld(t, s, testservers.Kafka(t), testservers.MySQL(t), nil)
	c, err := w.killAt(rand.New(rand.NewPCG(s, 7)), 24, anyMoment)
	if err != nil {
		t.Fatal(err)
	}
	c.mustHold(t)
}

// atCommit is one commit, or one answer to a commit.
func atCommit(dice *rand.Rand) func(proxy.Passage) bool {
	answered := dice.IntN(2) == 0
	return func(x proxy.Passage) bool { return x.Commits() && x.Answer == answered }
}

// anyMoment is atCommit half of the time, else one of the next passages.
func anyMoment(dice *rand.Rand) func(proxy.Passage) bool {
	if dice.IntN(2) == 0 {
		return atCommit(dice)
	}
	var left atomic.Int32
	left.Store(dice.Int32N(40))
	return func(x proxy.Passage) bool {
		switch x.What {
		case "Fetch", "Heartbeat", "ApiVersions": // so many that others would not have their turn
			return false
		}
		return left.Add(-1) < 0
	}
}

// killAt runs two processes of each stage while the source changes and old records are sent again, kills
// them, a stage after the other, at moments, and starts them again; then it lets everything settle and compares.
func (w *world) killAt(dice *rand.Rand, kills int, moment func(*rand.Rand) func(proxy.Passage) bool) (*comparison, error) {
	ctx := w.t.Context()
	stages := map[string][]*watched{}
	for _, name := range twoOfEach {
		p := w.through(name)
		p.start()
		stage, _, _ := strings.Cut(name, "-")
		stages[stage] = append(stages[stage], p)
	}
	if err := w.watchOffsets(ctx); err != nil {
		return nil, err
	}
	busy, rest := context.WithCancel(ctx)
	defer rest()
	changed, again := make(chan struct{}), make(chan int, 1) // again: one send, so that it never waits
	go func() {
		defer close(changed)
		w.changes(busy, 300*3600, time.Hour) // until the last kill
	}()
	go func() { again <- w.sendAgain(busy) }()
	if err := testkit.Until(ctx, 3*time.Minute, func() error { return w.rows(ctx) }); err != nil {
		return nil, err
	}
	var late sync.WaitGroup // what is still on its way
	for n := range kills {
		stage := []string{"ingest", "processor", "sink"}[n%3]
		if err := w.killOne(dice, stages[stage], moment(dice), &late); err != nil {
			return nil, err
		}
	}
	rest()
	<-changed
	<-again
	late.Wait()
	for _, both := range stages {
		for _, p := range both {
			if len(p.died()) > 0 {
				return nil, fmt.Errorf("%s ended by itself:\n%s", p.name, p.get(p.name).tail(20))
			}
		}
	}
	return w.verdict(ctx, 5*time.Minute)
}

// killOne kills whichever of a stage's processes has its moment first, and starts it again a little later. What it was
// sending is cut, or reaches the server late: after the process is back, or after others have what it had.
func (w *world) killOne(dice *rand.Rand, processes []*watched, moment func(proxy.Passage) bool, late *sync.WaitGroup) error {
	ctx := w.t.Context()
	delay := time.Duration(0) // cut
	if dice.IntN(3) == 0 {
		delay = time.Duration(1+dice.IntN(15_000)) * time.Millisecond
	}
	killed := make(chan *watched, 1) // one send: the first
	var taken atomic.Bool
	for _, p := range processes {
		judge := func(x proxy.Passage) proxy.Verdict {
			if !moment(x) || !taken.CompareAndSwap(false, true) {
				return proxy.Pass
			}
			late.Add(1)
			defer late.Done()
			p.kill(p.name)
			killed <- p
			if delay == 0 {
				return proxy.Cut
			}
			testkit.Pause(ctx, delay)
			return proxy.Pass
		}
		p.kafka.Judge(judge)
		p.mysql.Judge(judge)
	}
	select {
	case p := <-killed:
		testkit.Pause(ctx, time.Duration(dice.IntN(1000))*time.Millisecond)
		p.start()
		return nil
	case <-time.After(3 * time.Minute):
		return fmt.Errorf("no moment to kill within three minutes:\n%s\n%s", processes[0].get(processes[0].name).tail(10), processes[1].get(processes[1].name).tail(10))
	case <-ctx.Done():
		return ctx.Err()
	}
}
