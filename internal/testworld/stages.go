package testworld

import (
	"context"
	"sync"
	"time"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/sink"
)

// Config is of processors.
func Config() processor.Config {
	cfg := processor.DefaultConfig()
	cfg.Sessions, cfg.Interval = 1, 20*time.Millisecond
	return cfg
}

// Processor runs a processor until stop is called.
func (w *World) Processor(p *pipeline.Pipeline, env stage.Env) (stop func()) {
	w.T.Helper()
	return testkit.Run(w.T, w.started(lines.Processors(Config()), p, env))
}

// Sink runs a sink until stop is called.
func (w *World) Sink(p *pipeline.Pipeline, env stage.Env) (stop func()) {
	w.T.Helper()
	return testkit.Run(w.T, w.started(lines.Sinks(sink.DefaultConfig()), p, env))
}

func (w *World) started(start lines.Start, p *pipeline.Pipeline, env stage.Env) func(context.Context) error {
	w.T.Helper()
	run, err := start(p, env, 0)
	if err != nil {
		w.T.Fatal(err)
	}
	return run
}

// Process runs the stages of a file with that stream, and its lines, as a process of that name does, until stop is
// called.
func (w *World) Process(s pipeline.Stream, name string) (stop func(), health *stage.Health) {
	w.T.Helper()
	env, p := w.Env(name), w.Of(s)
	processors, sinks := lines.Processors(Config()), lines.Sinks(sink.DefaultConfig())
	var metrics lines.Metrics
	stopProcessor := testkit.Run(w.T, lines.NewRunner("processor", p, env, &metrics, processors).Beside(w.started(processors, p, env)))
	stopSink := testkit.Run(w.T, lines.NewRunner("sink", p, env, &metrics, sinks).Beside(w.started(sinks, p, env)))
	return func() {
		var all sync.WaitGroup
		all.Go(stopProcessor)
		all.Go(stopSink)
		all.Wait()
	}, env.Health
}

// Traffic writes [Some] records, from the number from on, until stop is called.
func (w *World) Traffic(from int) (stop func()) {
	const each = 20
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.T.Context()))
	var all sync.WaitGroup
	all.Go(func() {
		for i := from; ctx.Err() == nil; i += each {
			w.Write(Some(i, each)...)
			testkit.Pause(ctx, 50*time.Millisecond)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		all.Wait()
	})
	w.T.Cleanup(stop)
	return stop
}
