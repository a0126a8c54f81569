package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/demo"
	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/internal/process"
	"github.com/millrace-io/millrace/topics"
)

const (
	drawEvery   = 100 * time.Millisecond
	sampleEvery = 200 * time.Millisecond
	lineEvery   = time.Second // without a terminal
)

// demoWatch shows a demonstration that runs, and finds out when it has caught up.
type demoWatch struct {
	*demoRun
	stages *process.Process
	ended  chan error // of the stages, once
	kafka  []kgo.Opt
	screen *demo.Screen // nil: no terminal
	width  int
	style  demo.Style

	mu       sync.Mutex
	state    demo.State // as of the last sample
	caughtUp bool
}

func (d *demoRun) newWatch(x *process.Process, ended chan error) (*demoWatch, error) {
	w := &demoWatch{demoRun: d, stages: x, ended: ended}
	w.screen, w.width = d.terminal()
	w.style.Color = w.screen != nil && demo.Color()
	w.state.Database = d.table.kind
	var err error
	w.kafka, err = kafka.Opts(d.pipeline.Kafka, "millrace-demo-watch", slog.New(slog.DiscardHandler), nil)
	return w, err
}

// stagesError waits for the stages to end, and returns their error.
func (w *demoWatch) stagesError() error {
	err := <-w.ended
	w.ended <- nil
	return err
}

// run shows the header, and then the state until the pipeline has caught up, ctx is cancelled or the stages end. Its error
// is the output's, as when a pipe is closed.
func (w *demoWatch) run(ctx context.Context) (err error) {
	for _, l := range w.header().Lines() {
		if _, err := fmt.Fprintln(w.out, l); err != nil {
			return err
		}
	}
	sampling, stop := context.WithCancel(ctx)
	var samplers sync.WaitGroup
	samplers.Go(func() { w.sample(sampling) })
	samplers.Go(func() { w.awaitFirstRow(sampling) })
	defer samplers.Wait()
	defer stop()
	every := lineEvery
	if w.screen != nil {
		every = drawEvery
		defer func() { err = errors.Join(err, w.screen.Close()) }()
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		state, caughtUp := w.now()
		if err := w.show(state); err != nil || caughtUp {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		case err := <-w.ended: // by themselves, which only an error can be the reason of
			w.ended <- err
			return nil
		}
	}
}

// show draws the state, or writes its line.
func (w *demoWatch) show(state demo.State) error {
	if w.screen != nil {
		return w.screen.Draw(state, w.style)
	}
	for _, notice := range w.log.Notices() {
		if _, err := fmt.Fprintln(w.out, "          ! "+notice); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w.out, state.Plain())
	return err
}

// now is the state, with the time as it is.
func (w *demoWatch) now() (state demo.State, caughtUp bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state = w.state
	state.At = time.Since(started)
	state.Notice = w.log.Last(3 * time.Second)
	for part, what := range w.stages.Health.Waiting() {
		state.Notice = part + " waits for " + what
	}
	return state, w.caughtUp
}

// sample reads metrics and lags until ctx is cancelled.
func (w *demoWatch) sample(ctx context.Context) {
	cl, err := kgo.NewClient(w.kafka...)
	if err != nil { // then no stage could start either, and says so
		return
	}
	defer cl.Close()
	var meter demo.Meter
	restPasses := int64(-1) // passes that had ended when the API came to rest
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		rests := w.api.Rests()
		counts, err := demo.Read(w.stages.Metrics)
		if err == nil {
			// In this order: what leaves raw is in processed by then.
			counts.RawLag = w.lag(ctx, cl, topics.ProcessorGroup(w.pipeline.Name), topics.Raw)
			counts.ProcessedLag = w.lag(ctx, cl, topics.SinkGroup(w.pipeline.Name), topics.Processed)
			if rests && restPasses < 0 {
				restPasses = counts.Passes
			}
			// The pass that was under way may have begun too early; the one after it has seen everything.
			all := rests && counts.Passes >= restPasses+2
			w.keep(counts, &meter, rests, all && counts.RawLag == 0 && counts.ProcessedLag == 0)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// keep takes a sample.
func (w *demoWatch) keep(counts demo.Counts, meter *demo.Meter, rests, caughtUp bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts.At = time.Since(started)
	w.state.Counts = counts
	w.state.Rates = meter.Rates(counts)
	w.caughtUp = caughtUp && !w.follow
	switch {
	case counts.Passes == 0:
		w.state.Phase = "the first pass reads everything"
	case w.follow:
		w.state.Phase = "the API publishes; Ctrl-C ends"
	case !rests:
		w.state.Phase = "the API publishes new and revised events"
	default:
		w.state.Phase = "the API rests; catching up"
	}
}

// lag is how many records of all streams a group has not committed; -1 if that cannot be known now.
func (w *demoWatch) lag(ctx context.Context, cl *kgo.Client, group string, topic func(pipeline, stream string) string) int64 {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	committed, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	if err != nil {
		return -1
	}
	from := map[string]map[int32]int64{}
	for _, s := range w.pipeline.Streams {
		name := topic(w.pipeline.Name, s.Name)
		from[name] = map[int32]int64{}
		for partition := range w.pipeline.Kafka.Partitions {
			from[name][partition] = -1
			if o, ok := committed.Lookup(name, partition); ok {
				from[name][partition] = o.At
			}
		}
	}
	n, err := topics.Remaining(ctx, cl, from)
	if err != nil {
		return -1
	}
	return n
}

// awaitFirstRow notes when the first row was in the table. A table that has rows already has no first row.
func (w *demoWatch) awaitFirstRow(ctx context.Context) {
	if w.table.HasRows(ctx) {
		return
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !w.table.HasRows(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.FirstRow = time.Since(started)
}
