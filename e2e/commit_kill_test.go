//go:build integration

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/e2e/proxy"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestKillAtCommit kills processes at the worst moments: with a commit sent and not arrived, and with a commit done
// and not answered.
func TestKillAtCommit(t *testing.T) {
	s := seed(t)
	w := newWorld(t, s, testservers.Kafka(t), testservers.MySQL(t), "")
	c, err := w.killAtCommits(rand.New(rand.NewPCG(s, 7)), 20_000, 18, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(c)
	if n := c.counts["violations"]; n > 0 {
		t.Errorf("%d violations", n)
	}
}

// killAtCommits runs two processes of each stage while the source changes and old records are sent again, kills
// them, a stage after the other, at commits, and starts them again; then it waits for rest and compares.
func (w *world) killAtCommits(dice *rand.Rand, records, kills int, tags string, env ...string) (*comparison, error) {
	ctx := w.t.Context()
	stages := map[string][]*watched{}
	for _, name := range twoOfEach {
		p := w.through(name, tags, env...)
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
		w.changes(busy, records, time.Duration(kills)*2500*time.Millisecond)
	}()
	go func() { again <- w.sendAgain(busy) }()
	if err := until(ctx, time.Minute, func() error { return w.rows(ctx) }); err != nil {
		return nil, err
	}
	for n := range kills {
		stage := []string{"ingest", "processor", "sink"}[n%3]
		if err := killAtCommit(ctx, dice, stages[stage]); err != nil {
			return nil, err
		}
	}
	<-changed
	rest()
	<-again
	for _, both := range stages {
		for _, p := range both {
			if len(p.died()) > 0 {
				return nil, fmt.Errorf("%s ended by itself:\n%s", p.name, p.get(p.name).tail(20))
			}
		}
	}
	return w.verdict(ctx, 3*time.Minute)
}

// killAtCommit kills whichever of a stage's processes is the first to commit, and starts it again a little later.
func killAtCommit(ctx context.Context, dice *rand.Rand, processes []*watched) error {
	answered := dice.IntN(2) == 0
	killed := make(chan *watched, 1) // one send: the first
	var first sync.Once
	for _, p := range processes {
		judge := func(x proxy.Passage) proxy.Verdict {
			if !x.Commits() || x.Answer != answered {
				return proxy.Pass
			}
			verdict := proxy.Pass
			first.Do(func() {
				p.kill(p.name)
				killed <- p
				verdict = proxy.Cut
			})
			return verdict
		}
		p.kafka.Judge(judge)
		p.mysql.Judge(judge)
	}
	select {
	case p := <-killed:
		select {
		case <-time.After(time.Duration(dice.IntN(1000)) * time.Millisecond):
		case <-ctx.Done():
		}
		p.start()
		return nil
	case <-time.After(45 * time.Second):
		return fmt.Errorf("no commit within 45 s:\n%s\n%s", processes[0].get(processes[0].name).tail(10), processes[1].get(processes[1].name).tail(10))
	case <-ctx.Done():
		return ctx.Err()
	}
}
