package process

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/ingest"
	"github.com/millrace-io/millrace/internal/embedded"
	"github.com/millrace-io/millrace/internal/kafka"
	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/redact"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/telemetry"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/sink"
)

// The stages.
const (
	Ingest    = "ingest"
	Processor = "processor"
	Sink      = "sink"
)

// All is every stage, in the order of the data flow.
var All = []string{Ingest, Processor, Sink}

// Options say what a process runs and how it is looked at.
type Options struct {
	Stages   []string      // of All
	Streams  []string      // nil: all
	Adopt    []string      // streams whose tables are taken from whoever has them: sink.Config's
	Instance string        // empty: MILLRACE_INSTANCE, else the host's name and a number that is free on it
	Listen   string        // address for health and metrics; empty: none
	Profile  bool          // /debug/pprof/ on the same port
	Drain    time.Duration // what stages may take to finish what is in hand
	Once     bool          // end when a pass of every slice is in the database; all stages must be in this process
	Log      *slog.Logger
	File     string // path of the pipeline file, for what the log tells to do next; empty: not known
}

// Process is stages that are about to run. It is used once.
type Process struct {
	Pipeline *pipeline.Pipeline
	Metrics  *prometheus.Registry
	Health   *stage.Health
	Ingest   *ingest.Ingest // nil if it is not among the stages
	Address  string         // where health and metrics are; empty: nowhere

	options   Options
	sink      *sink.Sink // nil if it is not among the stages
	secrets   *redact.Secrets
	servers   *embedded.Servers
	instances []*instance // as options.Stages
	http      *telemetry.Server
	runs      []run
	lines     lines.Metrics
	based     []string // streams whose base line is live; once's alone
}

// run is a stage that is about to run.
type run struct {
	stage string
	run   func(context.Context) error
}

// New starts the embedded servers, if p has any, and makes the stages. What cannot work whatever the servers say is
// a *[RefusedError]. On an error nothing is left behind; else the caller calls Run.
func New(ctx context.Context, p *pipeline.Pipeline, o Options) (_ *Process, err error) {
	secrets := secretsOf(p)
	defer func() { err = secrets.Error(err) }()
	if err := check(p, o); err != nil {
		return nil, &RefusedError{err}
	}
	o.Log = slog.New(secrets.Handler(o.Log.Handler()))
	x := &Process{
		Pipeline: p, Metrics: telemetry.NewRegistry(), Health: &stage.Health{Hide: secrets.Text}, options: o, secrets: secrets,
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, x.close())
		}
	}()
	if x.servers, err = embedded.Start(ctx, p, o.Log); err != nil {
		return nil, err
	}
	if o.Listen != "" {
		if x.http, err = telemetry.Listen(ctx, o.Listen, x.lines.With(x.Metrics), x.Health, o.Profile); err != nil {
			return nil, err
		}
		x.Address = x.http.Address()
	}
	for _, name := range All {
		if !slices.Contains(o.Stages, name) {
			continue
		}
		if err := x.add(name); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// secretsOf hides what p says is secret.
func secretsOf(p *pipeline.Pipeline) *redact.Secrets {
	texts := make([]string, len(p.Secrets))
	for i, s := range p.Secrets {
		texts[i] = s.Value.Reveal()
	}
	return redact.New(texts...)
}

// add takes an instance name for a stage, and makes it.
func (x *Process) add(name string) error {
	p, o := x.Pipeline, x.options
	who, err := takeInstance(p.Name, name, o.Instance)
	if err != nil {
		return err
	}
	x.instances = append(x.instances, who)
	log := o.Log.With("stage", name)
	opts, err := kafka.Opts(p.Kafka, "millrace-"+p.Name+"-"+name+"-"+who.name, log, x.Metrics)
	if err != nil {
		return err
	}
	start, err := x.stage(name, stage.Env{
		Instance: who.name, Streams: o.Streams, Kafka: opts, Log: log, Metrics: x.Metrics, Health: x.Health, File: o.File,
	})
	if err != nil {
		return &RefusedError{err}
	}
	x.Health.Wait(name, "starting") // until the stage says that it has what it needs
	x.runs = append(x.runs, run{name, start})
	return nil
}

func (x *Process) stage(name string, env stage.Env) (func(context.Context) error, error) {
	switch name {
	case Ingest:
		cfg := ingest.DefaultConfig()
		cfg.Drain, cfg.Once = x.options.Drain, x.options.Once
		s, err := ingest.New(x.Pipeline, cfg, env)
		if err != nil {
			return nil, err
		}
		x.Ingest = s
		if x.options.Once {
			return x.once(env), nil
		}
		return s.Run, nil
	case Processor:
		cfg := processor.DefaultConfig()
		cfg.Drain = x.options.Drain
		s, err := processor.New(x.Pipeline, cfg, env)
		if err != nil {
			return nil, err
		}
		return lines.NewRunner(name, x.Pipeline, env, &x.lines, lines.Processors(cfg)).Beside(s.Run), nil
	default:
		cfg := sink.DefaultConfig()
		cfg.Drain, cfg.Adopt = x.options.Drain, x.options.Adopt
		s, err := sink.New(x.Pipeline, cfg, env)
		if err != nil {
			return nil, err
		}
		x.sink = s
		cfg.Adopt = nil
		return lines.NewRunner(name, x.Pipeline, env, &x.lines, lines.Sinks(cfg)).Beside(s.Run), nil
	}
}

// Run runs the stages until ctx is cancelled or one of them returns, drains them all, and closes what New
// started. It returns nil after a clean drain, else every stage's error.
func (x *Process) Run(ctx context.Context) error {
	var names []string
	for _, i := range x.instances {
		names = append(names, i.name)
	}
	x.options.Log.Info("running", "pipeline", x.Pipeline.Name, "stages", x.options.Stages, "instances", names,
		"brokers", x.Pipeline.Kafka.Brokers, "listen", x.Address)

	// Health and metrics outlive the stages, so that a drain can be watched.
	looked, stopLooking := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1) // one send, so that it never waits
	go func() {
		if x.http == nil {
			served <- nil
			return
		}
		served <- x.http.Run(looked)
	}()
	var limited sync.WaitGroup
	defer limited.Wait()
	defer stopLooking()
	limited.Go(func() {
		limitMemory(looked, memory(x.runs, x.Pipeline.Kafka.Embedded || x.Pipeline.Database.Embedded))
	})
	err := supervise(ctx, x.runs, supervision{drain: x.options.Drain, log: x.options.Log, health: x.Health})
	stopLooking()
	return x.secrets.Error(errors.Join(err, <-served, x.close()))
}

// close gives back what New took. It may be called when only a part was.
func (x *Process) close() error {
	var errs []error
	if x.http != nil {
		errs = append(errs, x.http.Close())
	}
	if x.servers != nil {
		errs = append(errs, x.servers.Close())
	}
	for _, i := range x.instances {
		errs = append(errs, i.release())
	}
	return errors.Join(errs...)
}
