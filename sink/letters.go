package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
)

// isolate finds, by halving, the changes of b that the database refuses, and gives them its reason. Each half is tried
// in a transaction of its own that is rolled back. What remains then goes in, the older revisions of the refused ones included.
// It reports false if the database refuses none of them by itself.
func (w *writer) isolate(ctx context.Context, b *batch) (found bool, err error) {
	var tried []*change
	for _, p := range parts(b.changes) {
		tried = append(append(tried, p.removes...), p.upserts...)
	}
	return w.halve(ctx, tried)
}

func (w *writer) halve(ctx context.Context, tried []*change) (found bool, err error) {
	if len(tried) == 0 {
		return false, nil
	}
	copies := make([]change, len(tried))
	for i, x := range tried {
		copies[i] = *x
	}
	rejected, err := w.refused(ctx, copies)
	if rejected == nil || err != nil {
		return false, err
	}
	if len(tried) == 1 {
		tried[0].reason = rejected
		return true, nil
	}
	first, err := w.halve(ctx, tried[:len(tried)/2])
	if err != nil {
		return false, err
	}
	second, err := w.halve(ctx, tried[len(tried)/2:])
	return first || second, err
}

// letters produces dead letters and waits until the brokers have them: the offset must not move on before.
type letters struct {
	client *kgo.Client
	sent   map[*kgo.Record]bool // of the batch in hand
}

var errLetter = errors.New("produce a dead letter")

// send produces a letter for each change of b that has a reason and was not sent yet. It counts
// them, by stream.
func (l *letters) send(ctx context.Context, b *batch, counts map[string]int) error {
	sent := map[string]int{}
	var wait sync.WaitGroup
	var once sync.Once
	var failed error
	for i := range b.changes {
		x := &b.changes[i]
		if x.reason == nil || l.sent[x.record] {
			continue
		}
		id := topics.LetterID(stageName, x.record.Topic, 0, x.record.Partition, x.record.Offset)
		letter := topics.Letter{Stage: stageName, Generation: x.version.Generation(), Step: "sink." + x.table.name, Reason: x.reason.Error(), Attempt: 1}
		wait.Add(1)
		l.client.Produce(ctx, letter.Record(x.table.letters, id, x.record), func(_ *kgo.Record, err error) {
			if err != nil {
				once.Do(func() { failed = fmt.Errorf("%w to %s: %w", errLetter, x.table.letters, err) })
			}
			wait.Done()
		})
		sent[x.table.stream]++
	}
	wait.Wait()
	if failed != nil {
		return failed
	}
	for i := range b.changes {
		if x := &b.changes[i]; x.reason != nil {
			l.sent[x.record] = true
		}
	}
	for stream, n := range sent {
		counts[stream] += n
	}
	return nil
}
