//go:build integration

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestSwapUnderKills does what TestSwap does while everything is killed: the commands that swap at every statement of a
// swap once, those that build the lines, each process of the stages, mysqld and the broker. With -kill-servers, as by
// `make chaos`, that goes on for -kills kills of commands that swap, and they are killed at any moment, too.
func TestSwapUnderKills(t *testing.T) {
	number := seed(t)
	kafka, server := testservers.NewKafka(t), testservers.NewMySQL(t)
	s := &slaughter{
		swapping: newSwapping(t, newShadowed(t, number, kafka.Brokers(), server.DSN())), dice: rand.New(rand.NewPCG(number, 9)),
		servers: map[string]func(){
			"broker": func() { kafka.Kill(t); kafka.Start(t) },
			"mysqld": func() { server.Kill(t); server.Start(t) },
		},
	}
	s.away, s.pause, s.rate = true, 300*time.Millisecond, 50 // much of the machine is for those that are started again
	s.begin()
	s.each(func(ctx context.Context, d *swapper) error {
		return d.shadow(ctx, rand.New(rand.NewPCG(number, uint64(len(d.stream)))), 1)
	})
	s.atMoments(*serversFlag)
	if *serversFlag {
		s.atRandom()
	}
	s.each(func(ctx context.Context, d *swapper) error { return d.settled(ctx) })
	for _, d := range s.swappers {
		if d.turns < 2 {
			t.Errorf("%s: another line became live %d times, want 2 or more", d.stream, d.turns)
		}
	}
	s.end()
}

// slaughter is a swapping of which everything is killed.
type slaughter struct {
	*swapping

	dice    *rand.Rand
	servers map[string]func() // kill a server, and start it again
}

// atMoments kills the commands that swap at every statement of a swap once, each of the two at every other one. If it
// goes on, they are killed there again and again, until there were -kills kills. Meanwhile each process of the stages
// and each server is killed once, or again and again.
func (s *slaughter) atMoments(goOn bool) {
	w := s.w
	w.t.Helper()
	defer func(from time.Time) { w.t.Logf("took %s", time.Since(from).Round(time.Second)) }(time.Now())
	moments, err := s.swappers[0].rehearse(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if goOn {
		moments = slices.Repeat(moments, max(1, (*killsFlag+len(moments)-1)/len(moments)))
	}
	var all, drivers sync.WaitGroup
	// 1: the next one, while one is being killed
	due, others := make(chan struct{}, 1), rand.New(rand.NewPCG(s.dice.Uint64(), 0))
	all.Go(func() { s.killOthers(due, goOn, others) })
	for i, d := range s.swappers {
		own := rand.New(rand.NewPCG(s.dice.Uint64(), uint64(i)))
		drivers.Go(func() {
			for n := i; n < len(moments); n += len(s.swappers) {
				if n/len(s.swappers)%2 == 0 {
					select {
					case due <- struct{}{}:
					default:
					}
				}
				if err := s.killedAt(w.t.Context(), d, moments[n], own); err != nil {
					w.t.Error(err)
					return
				}
			}
		})
	}
	drivers.Wait()
	close(due)
	all.Wait()
	if w.t.Failed() {
		w.t.FailNow()
	}
	w.t.Logf("the commands that swap were killed at %d statements", len(moments))
}

// killOthers kills a process of the stages, or a server, and starts it again, each time that one is due: each once, in
// any order, and if it goes on, again and again. When due is closed, those follow that had no turn.
func (s *slaughter) killOthers(due <-chan struct{}, goOn bool, dice *rand.Rand) {
	names := append([]string{"broker", "mysqld"}, twoOfEach...)
	for round := 0; round == 0 || goOn; round++ {
		dice.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			if _, more := <-due; !more && round > 0 {
				return
			}
			s.killOther(name, dice)
		}
		s.w.t.Logf("killed: %s", strings.Join(names, " "))
	}
}

// killOther kills one. A process that is started again has the file of before, or that of after.
func (s *slaughter) killOther(name string, dice *rand.Rand) {
	ctx := s.w.t.Context()
	testkit.Pause(ctx, time.Duration(dice.IntN(2000))*time.Millisecond)
	if restart := s.servers[name]; restart != nil {
		restart()
		return
	}
	s.w.fleet.kill(name)
	s.w.write(s.files[dice.IntN(2)])
	testkit.Pause(ctx, time.Duration(dice.IntN(1500))*time.Millisecond)
	s.w.fleet.start(name)
}

// killedAt has the command killed at a moment, and what it has left ended by sinks, or by the next command. If it does
// not come to that moment, something else that was killed had the swap taken back before.
func (s *slaughter) killedAt(ctx context.Context, d *swapper, at moment, dice *rand.Rand) error {
	f, sinks := fate(dice.IntN(int(fates))), dice.IntN(4) > 0
	for until := time.Now().Add(4 * time.Minute); time.Now().Before(until); {
		killed, err := d.killAt(ctx, at, f, time.Duration(dice.IntN(2000))*time.Millisecond)
		if err != nil {
			return err
		}
		if !killed {
			testkit.Pause(ctx, time.Second) // a server may be away
			continue
		}
		s.w.t.Logf("%s: killed at %d. %s, %s", d.stream, at.nth, at.statement[:min(len(at.statement), 60)], f)
		if sinks {
			return d.ended(ctx)
		}
		return d.goOn(ctx)
	}
	return fmt.Errorf("%s: the moment %+v of the swap did not come", d.stream, at)
}

// atRandom kills the commands that swap at any moment, a few times.
func (s *slaughter) atRandom() {
	ctx, cancel := context.WithTimeout(s.w.t.Context(), 20*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for i, d := range s.swappers {
		own := rand.New(rand.NewPCG(s.dice.Uint64(), uint64(i)))
		all.Go(func() {
			kills, err := d.atRandom(ctx, own)
			if err != nil {
				s.w.t.Error(err)
			}
			s.w.t.Logf("the command that swaps %s was killed %d times at random", d.stream, kills)
		})
	}
	all.Wait()
}
