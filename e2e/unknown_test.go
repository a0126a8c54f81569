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

// TestUnknownCommits cuts connections at commits: Kafka's and MySQL's, as they are sent, which then have not happened,
// and before they are answered, which then have; the stage cannot tell. Nothing may be missing or doubled.
func TestUnknownCommits(t *testing.T) {
	s := seed(t)
	w := newWorld(t, s, testservers.Kafka(t), testservers.MySQL(t), nil)
	ctx := t.Context()
	c := &cutter{dice: rand.New(rand.NewPCG(s, 6)), cuts: map[string]int{}}
	var all []*watched
	for _, name := range twoOfEach {
		p := w.through(name)
		p.start()
		c.watch(p)
		all = append(all, p)
	}
	if err := w.watchOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	busy, rest := context.WithCancel(ctx)
	defer rest()
	again := make(chan int, 1) // one send, so that it never waits
	go func() { again <- w.sendAgain(busy) }()
	w.changes(ctx, 20_000, 40*time.Second)
	for n := 0; n < 20 && c.untried() != ""; n++ { // a slow machine makes few commits
		w.changes(ctx, 2500, 5*time.Second)
	}
	rest()
	<-again
	c.stop()
	if err := w.agrees(ctx); err != nil {
		for _, p := range all {
			t.Logf("%s\n%s", p.name, p.get(p.name).tail(15))
		}
		t.Error(err)
	}
	t.Log(c)
	if few := c.untried(); few != "" {
		t.Errorf("fewer than three commits were cut: %s", few)
	}
	for _, p := range all {
		p.stop(p.name)
	}
}

const (
	asSent       = "as it was sent"
	beforeAnswer = "before it was answered"
)

// cutter cuts connections at commits.
type cutter struct {
	mu      sync.Mutex
	dice    *rand.Rand
	stopped bool
	cuts    map[string]int
}

// often is one in so many commits that is cut, and again as many whose answer is.
const often = 12

// watch cuts at the commits of a process.
func (c *cutter) watch(p *watched) {
	stage, _, _ := strings.Cut(p.name, "-")
	// Until then every commit of this process is cut, and every question about it: a client's own attempts fail too.
	var down time.Time
	judge := func(x proxy.Passage) proxy.Verdict {
		if !x.Commits() {
			return proxy.Pass
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case c.stopped:
			return proxy.Pass
		case time.Now().Before(down):
		case c.dice.IntN(often) > 0:
			return proxy.Pass
		case c.dice.IntN(3) == 0:
			down = time.Now().Add(time.Duration(c.dice.IntN(3000)) * time.Millisecond)
		}
		when := asSent
		if x.Answer {
			when = beforeAnswer
		}
		c.cuts[stage+", "+when]++
		return proxy.Cut
	}
	p.kafka.Judge(judge)
	p.mysql.Judge(judge)
}

func (c *cutter) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
}

// untried is what was cut less than three times, if anything was: a stage, and when.
func (c *cutter) untried() (what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, stage := range []string{"ingest", "processor", "sink"} {
		for _, when := range []string{asSent, beforeAnswer} {
			if c.cuts[stage+", "+when] < 3 {
				what = stage + ", " + when
			}
		}
	}
	return what
}

func (c *cutter) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("commits cut: %v", c.cuts)
}
