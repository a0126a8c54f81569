package lines

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/sink"
)

// Start makes a stage of a line, which runs until its context ends. rate is how many raw records a second all processes
// together process of it; 0: no limit.
type Start func(line *pipeline.Pipeline, env stage.Env, rate int) (run func(context.Context) error, err error)

// Processors starts the processors of lines, all with the same configuration but for its Rate.
func Processors(cfg processor.Config) Start {
	return func(line *pipeline.Pipeline, env stage.Env, rate int) (func(context.Context) error, error) {
		cfg := cfg
		cfg.Rate = rate
		s, err := processor.New(line, cfg, env)
		if err != nil {
			return nil, err
		}
		return s.Run, nil
	}
}

// Sinks starts the sinks of lines, all with the same configuration but for its Gap.
func Sinks(cfg sink.Config) Start {
	return func(line *pipeline.Pipeline, env stage.Env, rate int) (func(context.Context) error, error) {
		s, err := sink.New(line, ofRate(cfg, rate), env)
		if err != nil {
			return nil, err
		}
		return s.Run, nil
	}
}

// ofRate is the configuration of a sink of a line that is built with a rate. Each of its transactions makes those of the live
// line wait, however few rows it has.
func ofRate(cfg sink.Config, rate int) sink.Config {
	if rate > 0 {
		cfg.Gap = builtGap
	}
	return cfg
}

const builtGap = 100 * time.Millisecond
