package process

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
)

// RefusedError says that flags and pipeline file ask for what cannot work. Nothing was started.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *RefusedError) Unwrap() error { return e.Err }

// check joins what cannot work before anything is started.
func check(p *pipeline.Pipeline, o Options) error {
	var errs []error
	if _, err := p.Choose(o.Streams); err != nil {
		errs = append(errs, fmt.Errorf("--streams: %w", err))
	}
	var ranges stage.Ranges
	stage.AtLeast(&ranges, "--drain-timeout", o.Drain, 0)
	if o.Instance != "" && odd.MatchString(o.Instance) {
		errs = append(errs, fmt.Errorf("--instance: %q; it must be letters, digits, dots, - and _", o.Instance))
	}
	return errors.Join(append(errs, ranges.Err(), checkAlone(p, o.Stages))...)
}

// checkAlone refuses a stage on servers that no other process can reach.
func checkAlone(p *pipeline.Pipeline, stages []string) error {
	if len(stages) == len(All) {
		return nil
	}
	if p.Kafka.Embedded {
		return fmt.Errorf("%s alone needs a Kafka that other processes reach, and this pipeline's is embedded: "+
			"name servers with kafka.brokers, or run all stages in one process with `millrace run`", stages[0])
	}
	if p.Database.Embedded && slices.Contains(stages, Sink) {
		return errors.New("sink alone needs a database server, and this pipeline's is a SQLite file: " +
			"name one with database.mysql, or run all stages in one process with `millrace run`")
	}
	return nil
}
