// Package process runs stages of a pipeline in this process: it starts the embedded servers, takes an instance name,
// serves health and metrics, runs the stages until one fails or the context ends, and drains them.
package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/ingest"
	"github.com/millrace-io/millrace/internal/embedded"
	"github.com/millrace-io/millrace/internal/kafka"
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
	Instance string        // empty: MILLRACE_INSTANCE, else the host's name and a number that no other process on it has
	Listen   string        // address for health and metrics; empty: none
	Profile  bool          // /debug/pprof/ on the same port
	Drain    time.Duration // what stages may take to finish what is in hand
	Log      *slog.Logger
}

// Process is stages that are about to run. It is used once.
type Process struct {
	Pipeline *pipeline.Pipeline
	Metrics  *prometheus.Registry
	Health   *stage.Health
	Ingest   *ingest.Ingest // nil if it is not among the stages
	Address  string         // where health and metrics are; empty: nowhere

	options  Options
	servers  *embedded.Servers
	instance *instance
	http     *telemetry.Server
	runs     []run
}

type run struct {
	stage string
	run   func(context.Context) error
}

// New starts the embedded servers, if p has any, and makes the stages. On an error nothing is left behind; else
// the caller calls Run.
func New(ctx context.Context, p *pipeline.Pipeline, o Options) (_ *Process, err error) {
	if err := check(p, o); err != nil {
		return nil, err
	}
	x := &Process{Pipeline: p, Metrics: telemetry.NewRegistry(), Health: &stage.Health{}, options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, x.close())
		}
	}()
	if x.instance, err = takeInstance(p.Name, o.Instance); err != nil {
		return nil, err
	}
	if x.servers, err = embedded.Start(p, o.Log); err != nil {
		return nil, err
	}
	if o.Listen != "" {
		if x.http, err = telemetry.Listen(ctx, o.Listen, x.Metrics, x.Health, o.Profile); err != nil {
			return nil, err
		}
		x.Address = x.http.Address()
	}
	return x, x.build()
}

// check refuses what cannot work before anything is started.
func check(p *pipeline.Pipeline, o Options) error {
	for _, name := range o.Streams {
		if p.Stream(name) == nil {
			return fmt.Errorf("--streams: the pipeline %s has no stream %q", p.Name, name)
		}
	}
	if len(o.Stages) == len(All) {
		return nil
	}
	if p.Kafka.Embedded {
		return fmt.Errorf("%s alone needs a Kafka that other processes reach, and this pipeline's is embedded: "+
			"name servers with kafka.brokers, or run all stages in one process with `millrace run`", o.Stages[0])
	}
	if p.Database.Embedded && slices.Contains(o.Stages, Sink) {
		return errors.New("sink alone needs a database server, and this pipeline's is a SQLite file: " +
			"name one with database.mysql, or run all stages in one process with `millrace run`")
	}
	return nil
}

func (x *Process) build() error {
	p, o := x.Pipeline, x.options
	opts, err := kafka.Opts(p.Kafka, "millrace-"+p.Name+"-"+x.instance.name, o.Log, x.Metrics)
	if err != nil {
		return err
	}
	for _, name := range All {
		if !slices.Contains(o.Stages, name) {
			continue
		}
		env := stage.Env{
			Instance: x.instance.name, Streams: o.Streams, Kafka: opts,
			Log: o.Log.With("stage", name), Metrics: x.Metrics, Health: x.Health,
		}
		start, err := x.stage(name, env)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		x.runs = append(x.runs, run{name, start})
	}
	return nil
}

func (x *Process) stage(name string, env stage.Env) (func(context.Context) error, error) {
	switch name {
	case Ingest:
		cfg := ingest.DefaultConfig()
		cfg.Drain = x.options.Drain
		s, err := ingest.New(x.Pipeline, cfg, env)
		if err != nil {
			return nil, err
		}
		x.Ingest = s
		return s.Run, nil
	case Processor:
		cfg := processor.DefaultConfig()
		cfg.Drain = x.options.Drain
		s, err := processor.New(x.Pipeline, cfg, env)
		if err != nil {
			return nil, err
		}
		return s.Run, nil
	default:
		cfg := sink.DefaultConfig()
		cfg.Drain = x.options.Drain
		s, err := sink.New(x.Pipeline, cfg, env)
		if err != nil {
			return nil, err
		}
		return s.Run, nil
	}
}

// Run runs the stages until ctx is cancelled or one of them returns, drains them all, and closes what New
// started. It returns nil after a clean drain, else every stage's error.
func (x *Process) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	x.options.Log.Info("running", "pipeline", x.Pipeline.Name, "stages", x.options.Stages, "instance", x.instance.name,
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

	ended := make(chan error, len(x.runs)) // one send each, so that none waits
	for _, r := range x.runs {
		go func() {
			err := r.run(ctx)
			if err != nil {
				err = fmt.Errorf("%s: %w", r.stage, err)
			}
			cancel()
			ended <- err
		}()
	}
	var errs []error
	for range x.runs {
		errs = append(errs, <-ended)
	}
	stopLooking()
	errs = append(errs, <-served, x.close())
	return errors.Join(errs...)
}

func (x *Process) close() error {
	var errs []error
	if x.servers != nil {
		errs = append(errs, x.servers.Close())
	}
	if x.instance != nil {
		errs = append(errs, x.instance.release())
	}
	return errors.Join(errs...)
}
