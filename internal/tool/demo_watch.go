package tool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/demo"
	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/internal/process"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
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
	style  demo.Style

	mu       sync.Mutex
	state    demo.State // as of the last sample
	caughtUp bool
}

func (d *demoRun) newWatch(x *process.Process, ended chan error) (*demoWatch, error) {
	w := &demoWatch{demoRun: d, stages: x, ended: ended}
	w.screen, _ = d.terminal()
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

// run shows the header, and then the state until the pipeline has caught up, ctx is cancelled or the stages end. Its
// error is the output's, as when a pipe is closed.
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
	for who, what := range w.stages.Health.Waiting() {
		state.Notice = who + " waits for " + what
	}
	return state, w.caughtUp
}

// sample reads metrics and lags until ctx is cancelled.
func (w *demoWatch) sample(ctx context.Context) {
	cl, err := kgo.NewClient(append(slices.Clip(w.kafka), kgo.MetadataMinAge(sampleEvery))...)
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
			// Before, topics and tables may be about to be made. In this order: what leaves raw is in processed by
			// then.
			if counts.Fetched > 0 || counts.Passes > 0 {
				counts.RawLag = w.rawLag(ctx, cl)
				counts.ProcessedLag = w.processedLag(ctx, cl)
			}
			if rests && restPasses < 0 {
				restPasses = counts.Passes
			}
			// The pass that was under way may have begun too early; the one after it has seen everything.
			all := rests && counts.Passes >= restPasses+2
			if ctx.Err() == nil { // else the lags are not known
				w.note(counts, &meter, rests, all && counts.RawLag == 0 && counts.ProcessedLag == 0)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// note keeps a sample.
func (w *demoWatch) note(counts demo.Counts, meter *demo.Meter, rests, caughtUp bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts.At = time.Since(started)
	w.state.Counts = counts
	w.state.Rates = meter.Rates(counts)
	w.caughtUp = w.caughtUp || caughtUp && !w.follow
	switch {
	case counts.Passes == 0:
		w.state.Phase = "the first pass reads it all"
	case w.follow:
		w.state.Phase = "the API publishes and revises; Ctrl-C ends"
	case !rests:
		w.state.Phase = "the API publishes and revises"
	default:
		w.state.Phase = "the API rests"
	}
}

// rawLag is how many raw records the processor has not committed; -1 if that cannot be known now.
func (w *demoWatch) rawLag(ctx context.Context, cl *kgo.Client) int64 {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	committed, err := kadm.NewClient(cl).FetchOffsets(ctx, topics.ProcessorGroup(w.pipeline.Name))
	if err != nil {
		return -1
	}
	return w.remaining(ctx, cl, topics.Raw, func(topic string, partition int32) int64 {
		if o, ok := committed.Lookup(topic, partition); ok {
			return o.At
		}
		return -1
	})
}

// processedLag is how many processed records are not in the table; -1 if that cannot be known now. The database, not
// Kafka, has the sink's offsets.
func (w *demoWatch) processedLag(ctx context.Context, cl *kgo.Client) int64 {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	next, err := w.table.NextOffsets(ctx)
	if err != nil {
		return -1
	}
	return w.remaining(ctx, cl, topics.Processed, func(topic string, partition int32) int64 {
		if offset, ok := next[topic][partition]; ok {
			return offset
		}
		return -1
	})
}

// remaining is how many records all streams' topics hold from the next offsets on; -1 if that cannot be known now.
func (w *demoWatch) remaining(
	ctx context.Context, cl *kgo.Client, topic func(pipeline, stream string) string, next func(topic string, partition int32) int64,
) int64 {
	from := map[string]map[int32]int64{}
	for _, s := range w.pipeline.Streams {
		name := topic(w.pipeline.Name, s.Name)
		from[name] = map[int32]int64{}
		for partition := range w.pipeline.Kafka.Partitions {
			from[name][partition] = next(name, partition)
		}
	}
	n, err := admin.Remaining(ctx, cl, from)
	if err != nil {
		return -1
	}
	return n
}

// awaitFirstRow notes when the first row that this run wrote was in the table, as another connection sees it. The
// database is not opened until then: it may be about to be made.
func (w *demoWatch) awaitFirstRow(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		counts, err := demo.Read(w.stages.Metrics)
		if err == nil && counts.Upserts > 0 && w.table.HasRows(ctx) {
			break
		}
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
