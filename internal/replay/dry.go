package replay

import (
	"context"
	"iter"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processor"
)

// Dry gives the processed records that a redo would produce if it began now, as [processor.RedoOutcomes] does. Nothing
// is changed.
func (r *Replay) Dry(ctx context.Context, ask Ask, memory int64, refused func(processor.Refused)) (Plan, iter.Seq2[*kgo.Record, error], error) {
	plan, err := r.Preview(ctx, ask)
	if err != nil {
		return plan, nil, err
	}
	redo := &plan.Redo
	if redo.Cut, err = r.cut(ctx, *redo); err != nil {
		return plan, nil, err
	}
	env := r.Env
	env.Metrics = prometheus.NewRegistry()
	return plan, processor.RedoOutcomes(ctx, r.Pipeline, env, processor.RedoConfig{
		Stream: r.Stream.Name, Generation: redo.Generation, Epoch: redo.Epoch, RawTopicID: redo.RawTopicID,
		Cut: redo.Cut, From: redo.From, To: redo.To, Keys: redo.Keys, Attempt: redo.Attempt, Letters: -1, Memory: memory,
	}, refused), nil
}
