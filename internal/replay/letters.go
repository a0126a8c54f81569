package replay

import (
	"context"
	"math"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/drive"
	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// A retry is a redo for the keys of letters. Before it ends, the letters of these keys are closed: all that it has made
// is in the table by then, or in another letter. A process that dies before that leaves the letters open and the redo
// under way; whoever goes on with it closes them. One that dies after it, but before the redo has ended, finds them
// closed.

// closeLetters closes the letters that a retry has answered, once.
func (r *Replay) closeLetters(ctx context.Context, redo control.Redo) error {
	if redo.Attempt == 0 || redo.Aborted || redo.Refused != nil {
		return nil
	}
	return r.Persist(ctx, drive.Kafka, "letters", func(ctx context.Context) error {
		closed, err := r.answered(ctx, redo)
		if err != nil {
			return err
		}
		return letters.Close(ctx, r.Env.Kafka, closed, r.Pipeline.Kafka.MaxRecordBytes)
	})
}

// answered says what has become of the open letters of a retry's keys. A letter of a record that the raw topic has no
// more, without a newer one, stays open.
func (r *Replay) answered(ctx context.Context, redo control.Redo) (map[*letters.Letter]topics.Closing, error) {
	keys := map[string]bool{}
	for _, key := range redo.Keys {
		keys[key] = true
	}
	var before letters.Book
	again := map[topics.RawPosition]bool{} // letters of the retry
	err := admin.Read(ctx, r.Env.Kafka, topics.DeadLetters(r.Pipeline.Name, r.Stream.Name), func(rec *kgo.Record) {
		l, origin, err := topics.ParseLetter(rec)
		_, closes := topics.ParseClosing(rec)
		if err != nil || !keys[string(rec.Key)] {
			return
		}
		if !closes && l.Generation >= redo.First {
			again[topics.LetterPosition(rec, origin)] = true
			return
		}
		before.Add(rec)
	})
	if err != nil {
		return nil, err
	}
	all, err := before.All()
	if err != nil {
		return nil, err
	}
	var open []*letters.Letter
	for _, l := range all {
		if l.Closed == nil && l.Retryable() && covers(redo, l.Position) {
			open = append(open, l)
		}
	}
	newest, err := r.newest(ctx, redo, open)
	if err != nil {
		return nil, err
	}
	out := map[*letters.Letter]topics.Closing{}
	for _, l := range open {
		at, found := newest[string(l.Record.Key)]
		outcome := topics.Superseded
		switch {
		case again[l.Position]:
			outcome = topics.RefusedAgain
		case !found:
			continue
		case l.Position.Epoch == redo.Epoch && at.Offset() == l.Position.Offset:
			outcome = topics.Retried
		}
		out[l] = topics.Closing{Outcome: outcome, By: redo.By}
	}
	return out, nil
}

// covers reports whether a raw record is of those that a redo has looked at.
func covers(redo control.Redo, at topics.RawPosition) bool {
	return at.Epoch < redo.Epoch || at.Epoch == redo.Epoch && at.Offset < redo.Cut[at.Partition]
}

// newest are the versions of the newest raw records below the cut of the keys of letters.
func (r *Replay) newest(ctx context.Context, redo control.Redo, of []*letters.Letter) (map[string]topics.Version, error) {
	keys, from := map[string]bool{}, Since(r.Pipeline, r.Stream, redo.Epoch, of)
	for _, l := range of {
		keys[string(l.Record.Key)] = true
	}
	out := map[string]topics.Version{}
	err := admin.ReadFrom(ctx, r.Env.Kafka, r.raw(), from, func(rec *kgo.Record) {
		if !keys[string(rec.Key)] || rec.Offset >= redo.Cut[rec.Partition] {
			return
		}
		version, err := topics.RawVersion(rec, redo.Epoch, 0)
		if err != nil {
			return // it is a letter, and has no place among its key's revisions
		}
		if was, ok := out[string(rec.Key)]; !ok || string(version[:]) > string(was[:]) {
			out[string(rec.Key)] = version
		}
	})
	return out, err
}

// nowhere is above all offsets.
const nowhere = math.MaxInt64
