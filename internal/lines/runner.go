package lines

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// Runner runs one stage of the lines of a pipeline's streams, but for their base lines: it follows what is decided,
// begins those that are declared, ends those that are dropped, and begins one again whose logic or rate, or, of a sink,
// table, is another. A line that cannot go on is told of, and tried again: it does not hold up the others, nor the live
// one.
type Runner struct {
	stage   string
	p       *pipeline.Pipeline
	env     stage.Env
	start   Start
	metrics *Metrics
	view    *control.View
	running map[string]*running // by name of the line's pipeline; Run's alone
}

// wanted is what is to run of a line.
type wanted struct {
	line   *pipeline.Pipeline
	stream string
	number uint16
	rate   int
	key    string // what it begins again for
}

// running is a line that runs.
type running struct {
	key string
	end func() // returns once it has ended
}

// processors is the name of the stage that knows no tables.
const processors = "processor"

// followEvery is how often it is looked what is decided.
const followEvery = 2 * time.Second

// NewRunner returns a runner of the stage of that name, "processor" or "sink". It does no I/O. env is that of the
// stage.
func NewRunner(name string, p *pipeline.Pipeline, env stage.Env, metrics *Metrics, start Start) *Runner {
	return &Runner{
		stage: name, p: p, env: env, start: start, metrics: metrics, running: map[string]*running{},
		view: control.NewView(control.Config{Pipeline: p.Name, Who: env.Instance, Client: env.Kafka}),
	}
}

// Beside runs the lines while run runs, and returns what that returns.
func (r *Runner) Beside(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		var lines sync.WaitGroup
		defer lines.Wait()
		defer cancel()
		lines.Go(func() { r.Run(ctx) })
		return run(ctx)
	}
}

// Run runs the lines until ctx is cancelled, and waits until they have drained. It is called once.
func (r *Runner) Run(ctx context.Context) {
	defer r.view.Close()
	defer func() { r.turn(context.WithoutCancel(ctx), nil) }()
	for {
		looking, cancel := context.WithTimeout(ctx, time.Minute)
		_, err := r.view.Refresh(looking)
		cancel()
		if err == nil && ctx.Err() == nil {
			r.turn(ctx, r.wanted())
		} else if ctx.Err() == nil {
			r.env.Log.Debug("not known which lines there are", "err", err) // the stage tells of brokers that are away
		}
		if stage.Sleep(ctx, followEvery) != nil {
			return
		}
	}
}

// wanted is what is to run.
func (r *Runner) wanted() map[string]wanted {
	all := map[string]wanted{}
	chosen, err := r.p.Choose(r.env.Streams)
	if err != nil {
		return all // the stage has told
	}
	for _, file := range chosen {
		s := r.view.Stream(file.Name)
		for _, l := range s.Lines {
			if l.Number == control.BaseLine || !l.State.Runs() {
				continue
			}
			who := r.who(file.Name, l.Number)
			line, err := Of(r.p, file.Name, s, l.Number)
			if err != nil {
				r.env.Health.Degrade(who, err.Error())
				continue
			}
			w := wanted{line: line, stream: file.Name, number: l.Number}
			if l.State == control.LineBuilding && l.BuiltAt.IsZero() {
				w.rate = l.Rate
			}
			w.key = fmt.Sprint(line.Streams[0].Definition(), w.rate)
			if r.stage != processors { // which know no table, and would hold up the line while their group has them again
				w.key += line.Streams[0].Sink.As
			}
			all[line.Name] = w
		}
	}
	return all
}

// who names a line of the stage in health.
func (r *Runner) who(stream string, number uint16) string {
	return fmt.Sprintf("%s %s, line %d", r.stage, stream, number)
}

// turn ends what is not wanted, or wanted otherwise, and begins what does not run.
func (r *Runner) turn(ctx context.Context, all map[string]wanted) {
	var ending sync.WaitGroup
	for name, is := range r.running {
		if w, ok := all[name]; !ok || w.key != is.key {
			ending.Go(is.end)
			delete(r.running, name)
		}
	}
	ending.Wait() // before one is begun under the same name
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if r.running[name] == nil {
			r.running[name] = r.begin(ctx, all[name])
		}
	}
}

func (r *Runner) begin(ctx context.Context, w wanted) *running {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	health := &stage.Health{}
	all.Go(func() { r.keep(ctx, w, health) })
	all.Go(func() { r.tell(ctx, w, health) })
	if r.stage == processors && w.rate > 0 {
		all.Go(func() { r.gauge(ctx, w, health) })
	}
	return &running{w.key, func() {
		cancel()
		all.Wait()
	}}
}

// keep runs a line until ctx ends, again and again if it must.
func (r *Runner) keep(ctx context.Context, w wanted, health *stage.Health) {
	env := r.env
	env.Streams, env.Health = nil, health
	env.Log = env.Log.With("line", w.number)
	wait := stage.NewBackoff()
	for ctx.Err() == nil {
		env.Metrics = r.metrics.registry(r.stage, w.line.Name) // each attempt has counters of its own
		env.Log.Info("a line runs", "stream", w.stream, "table", w.line.Streams[0].Sink.Name(), "topic", topics.Processed(w.line.Name, w.stream))
		run, err := r.start(w.line, env, w.rate)
		if err == nil {
			err = run(ctx)
		}
		if err != nil && ctx.Err() == nil {
			env.Log.Error("a line has stopped; it is tried again", "stream", w.stream, "err", err)
			health.Wait("line", err.Error())
		}
		_ = stage.Sleep(ctx, wait.NextBackOff())
		health.Ready("line")
	}
	r.metrics.drop(r.stage, w.line.Name)
}

// tell shows the health of a line in that of the process, which is ready all the same.
func (r *Runner) tell(ctx context.Context, w wanted, health *stage.Health) {
	who := r.who(w.stream, w.number)
	defer r.env.Health.Restore(who)
	for stage.Sleep(ctx, time.Second) == nil {
		all := map[string]string{}
		maps.Copy(all, health.Degraded())
		maps.Copy(all, health.Waiting())
		var texts []string
		for _, name := range slices.Sorted(maps.Keys(all)) {
			texts = append(texts, all[name])
		}
		if len(texts) == 0 {
			r.env.Health.Restore(who)
			continue
		}
		r.env.Health.Degrade(who, strings.Join(texts, "; "))
	}
}
