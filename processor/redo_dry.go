package processor

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// Refused is a record that a redo would refuse: the newest of its key.
type Refused struct {
	Partition int32
	Offset    int64
	Key       string
	Step      string // as a path in the pipeline file
	Reason    string
}

// RedoOutcomes gives the processed records that a redo would produce now, and produces nothing: partition by partition,
// of each key at most one. What it would refuse is given to refused. Nobody else keeps the records. A record is given
// with an error that ends the sequence: the brokers', or ctx's.
func RedoOutcomes(ctx context.Context, p *pipeline.Pipeline, env stage.Env, what RedoConfig, refused func(Refused)) iter.Seq2[*kgo.Record, error] {
	return func(yield func(*kgo.Record, error) bool) {
		cfg := DefaultConfig()
		cfg.Sessions = 1 // one index at a time
		r, err := NewRedo(p, cfg, env, what)
		if err == nil {
			r.cl, err = kgo.NewClient(env.Kafka...)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		defer r.cl.Close()
		for _, partition := range slices.Sorted(maps.Keys(what.Cut)) {
			switch err := r.outcomes(ctx, partition, refused, func(rec *kgo.Record) bool { return yield(rec, nil) }); {
			case errors.Is(err, errEnough):
				return
			case err != nil:
				yield(nil, err)
				return
			}
		}
	}
}

// outcomes gives those of a partition. The error is errEnough if yield wants no more.
func (r *Redo) outcomes(ctx context.Context, partition int32, refused func(Refused), yield func(*kgo.Record) bool) error {
	marks, _, err := r.marks(ctx, partition)
	if err != nil {
		return err
	}
	from, found := marks.Next(0)
	if !found {
		return nil
	}
	w := newWorker(r.stream, newArena())
	made := 0
	return r.log(partition).Read(ctx, from, r.cfg.Cut[partition], func(raw *kgo.Record) error {
		if !marks.Has(raw.Offset) {
			return nil
		}
		if made++; made%arenaRecords == 0 {
			*w.arena = *newArena() // the records are given away
		}
		version, err := topics.RawVersion(raw, r.stream.epoch, r.stream.generation)
		w.out = w.out[:0]
		if err == nil {
			err = w.process(raw, version)
		}
		if err != nil {
			step, reason := refusal(err)
			refused(Refused{raw.Partition, raw.Offset, string(raw.Key), step, reason})
			return nil
		}
		for _, out := range w.out {
			if !yield(out) {
				return errEnough
			}
		}
		return nil
	})
}
