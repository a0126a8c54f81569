package tool

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/internal/replay"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
)

// dryRetry counts what a retry of a batch would make of its letters. What the table refuses is asked of the table too.
func (x *replaying) dryRetry(ctx context.Context, b replay.Batch, out *retried) error {
	refused := map[topics.RawPosition]bool{}
	made := map[string]topics.Version{}
	preview, err := x.Preview(ctx, replay.Ask{Keys: b.Keys})
	if err != nil {
		return err
	}
	epoch := preview.Redo.Epoch
	_, records, err := x.Dry(ctx, b.Ask(x.pipeline, x.pipeline.Stream(x.stream), epoch), processor.DefaultRedoMemory, func(r processor.Refused) {
		refused[topics.RawPosition{InRaw: true, Epoch: epoch, Partition: r.Partition, Offset: r.Offset}] = true
	})
	if err != nil {
		return err
	}
	is, err := sink.Compare(ctx, x.pipeline, x.stream, func(yield func(*kgo.Record, error) bool) {
		for r, err := range records {
			if err == nil {
				header, _ := topics.Header(r, topics.HeaderVersion)
				if v, err := topics.ParseVersion(header); err == nil {
					made[string(r.Key)] = v
				}
			}
			if !yield(r, err) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	out.judge(b.Letters, refused, made, int(is.Refused))
	return nil
}

// judge counts what becomes of letters, given which raw records a step refuses, the newest record of each key that has
// one, and how many of those the table refuses.
func (r *retried) judge(all []*letters.Letter, refused map[topics.RawPosition]bool, made map[string]topics.Version, table int) {
	newest := map[string]int{} // letters of the newest records, by key
	for _, l := range all {
		v, ok := made[string(l.Record.Key)]
		switch {
		case refused[l.Position]:
			r.RefusedAgain++
		case !ok:
			r.NoRecord++
		case v.Epoch() == l.Position.Epoch && v.Offset() == l.Position.Offset:
			newest[string(l.Record.Key)]++
		default:
			r.Superseded++
		}
	}
	// Which records the table refuses is not shown, but how many: those of letters first, for the others have rows.
	again := min(table, len(newest))
	r.Retried += len(newest) - again
	r.RefusedAgain += again
}
