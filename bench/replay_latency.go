package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// replayAlone is measured before the replay, and as long or longer after it.
const replayAlone = 20 * time.Second

// replaying is a command that processes all again while live records go on.
type replaying struct {
	kind  string // replay or shadow
	args  []string
	after string // what there is once it has ended: alone, or what stays beside
	undo  []string
}

// besideReplay measures what live records wait for beside a replay with a rate.
func (b *bench) besideReplay(ctx context.Context) error {
	return b.besides(ctx, func(file string) (replaying, error) {
		return replaying{kind: "replay", args: []string{"replay", file, stream}, after: "alone"}, nil
	})
}

// besideShadow measures what they wait for beside a shadow with that rate.
func (b *bench) besideShadow(ctx context.Context) error {
	return b.besides(ctx, func(string) (replaying, error) {
		other, err := b.otherLogic("upper(origin)")
		return replaying{
			kind: "shadow", args: []string{"replay", other, stream, "--shadow"}, after: "beside a line that is built",
			undo: []string{"replay", "drop", other, stream, "--yes"},
		}, err
	})
}

// besides measures what live records wait for alone and beside a replay, several times in turn, and compares all of one
// with all of the other: of a single run the p99 is that of a few moments in which the disk was slow. A run before does
// not count: brokers that have just been started take twice as long.
func (b *bench) besides(ctx context.Context, what func(file string) (replaying, error)) error {
	f, stop, err := b.first(ctx)
	defer stop()
	if err != nil {
		return err
	}
	r, err := what(f.file)
	if err != nil {
		return err
	}
	var alone, during []time.Duration
	for run := range b.runs + 1 {
		a, d, err := b.beside(ctx, f, r)
		if err != nil {
			return err
		}
		if run > 0 {
			alone, during = append(alone, a...), append(during, d...)
		}
		if len(r.undo) > 0 {
			if _, err := b.command(ctx, f.env, r.undo...); err != nil {
				return err
			}
		}
	}
	fmt.Printf("\n%-44s %7s %7s %7s\n", fmt.Sprintf("raw record → row, %d in a second, %d runs, ms", latencyRate, b.runs), "p50", "p99", "max")
	quantiles("alone", alone)
	quantiles(fmt.Sprintf("beside a %s of %d records a second", r.kind, b.rate), during)
	fmt.Printf("  p99, of alone: %.2f\n  aim: p99 at most 1.2 times\n", quantile(during, 0.99)/quantile(alone, 0.99))
	return nil
}

// beside measures what live records wait for before, during and after a replay with a rate, at one go.
func (b *bench) beside(ctx context.Context, f first, r replaying) (alone, during []time.Duration, _ error) {
	var w phases
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	var used usage
	var failed error
	warm := func() {
		w.enter("alone")
		running.Go(func() {
			select {
			case <-ctx.Done():
				return
			case <-time.After(replayAlone):
			}
			if used, failed = b.replayWithRate(ctx, f, r, &w); failed != nil {
				cancel()
			}
		})
	}
	seconds := (b.records+b.lived)/b.rate + 3*int(replayAlone.Seconds()) // a replay takes longer than its rate says
	all, err := b.delays(ctx, topics.Raw(f.p.Name, stream), table, seconds, warm)
	if err != nil {
		return nil, nil, fmt.Errorf("%w (%w)", err, failed)
	}
	running.Wait()
	if failed != nil {
		return nil, nil, failed
	}
	alone, during = tellPhases(r.kind, &w, all)
	fmt.Printf("  the %s took %.1f s of CPU and %.0f MiB\n", r.kind, used.CPU.Seconds(), used.PeakMiB)
	return alone, during, nil
}

// tellPhases prints what records waited for in each phase, and returns it for those alone and those during the replay.
func tellPhases(kind string, w *phases, all []delay) (alone, during []time.Duration) {
	fmt.Printf("\n%-44s %7s %7s %7s\n", fmt.Sprintf("raw record → row, %d in a second, ms", latencyRate), "p50", "p99", "max")
	for i, name := range w.names {
		var some []time.Duration
		for _, d := range all {
			if w.at(d.from) == i {
				some = append(some, d.took)
			}
		}
		switch {
		case name == "alone":
			alone = append(alone, some...)
		case strings.HasPrefix(name, kind+":"):
			during = append(during, some...)
		}
		if len(some) > 0 {
			quantiles(fmt.Sprintf("  %s, %.1f s", name, float64(len(some))/latencyRate), some)
		}
	}
	return alone, during
}

// replayWithRate processes all again, and notes in which phase that is.
func (b *bench) replayWithRate(ctx context.Context, f first, r replaying, w *phases) (usage, error) {
	w.enter(r.kind + ": begins")
	u, _, err := b.followed(ctx, f, w, append(slices.Clone(r.args), "--yes", "--rate", strconv.Itoa(b.rate))...)
	w.enter(r.after)
	return u, err
}

// followed runs a command of replays to its end, says how long that took, and notes the phases.
func (b *bench) followed(ctx context.Context, f first, w *phases, args ...string) (u usage, took time.Duration, _ error) {
	began := time.Now()
	running, err := start(f.env, filepath.Join(b.dir, "millrace"), args...)
	if err != nil {
		return u, 0, err
	}
	watching, stop := context.WithCancel(ctx)
	var watched sync.WaitGroup
	watched.Go(func() { b.follow(watching, f.p, w) })
	u, err = running.wait()
	took = time.Since(began)
	stop()
	watched.Wait()
	return u, took, err
}

// follow notes the phases of a replay until ctx ends.
func (b *bench) follow(ctx context.Context, p *pipeline.Pipeline, w *phases) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.kafka))
	if err != nil {
		return
	}
	defer cl.Close()
	view := control.NewView(control.Config{Pipeline: p.Name, Client: []kgo.Opt{kgo.SeedBrokers(b.kafka)}})
	defer view.Close()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := view.Refresh(ctx); err == nil {
			switch redo := view.Stream(stream).Redo; {
			case redo == nil:
			case redo.State == control.Marking:
				w.enter("replay: marks")
			case redo.State == control.Ending:
				w.enter("replay: ends")
			default:
				at, err := processor.RedoCommitted(ctx, cl, p, stream, redo.RawTopicID, redo.Generation)
				if err == nil && len(at) > 0 {
					w.enter("replay: processes again")
				} else if err == nil {
					w.enter("replay: looks through")
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// phases says when what began. It may be used concurrently.
type phases struct {
	mu    sync.Mutex
	names []string
	times []time.Time
}

// enter notes that a phase begins now, if it is another than the one before.
func (p *phases) enter(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.names); n == 0 || p.names[n-1] != name {
		p.names, p.times = append(p.names, name), append(p.times, time.Now())
	}
}

// at is which phase a time is in: -1 is before all.
func (p *phases) at(t time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := -1
	for i, began := range p.times {
		if !t.Before(began) {
			at = i
		}
	}
	return at
}

// until is how long it took from the first phase to one; 0 if it was not seen.
func (p *phases) until(name string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.names, name); i > 0 {
		return p.times[i].Sub(p.times[0])
	}
	return 0
}
