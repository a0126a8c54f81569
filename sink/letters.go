package sink

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

// letters produces dead letters and waits until the brokers have them: the offset must not move on before.
type letters struct {
	client   *kgo.Client
	pipeline string
	sent     map[*kgo.Record]bool // of the batch in hand
}

// sent is what a job has sent and not told yet: it is told when the job is written.
type sent struct {
	count   map[string]int // by stream
	refused stage.Batch
}

func newSent() sent { return sent{count: map[string]int{}} }

var errLetter = errors.New("produce a dead letter")

// refused are the changes that can never be stored.
func (b *batch) refused() iter.Seq[*rows.Change] {
	return func(yield func(*rows.Change) bool) {
		for _, m := range b.moves {
			for i := range m.changes {
				if x := &m.changes[i]; x.Reason != nil && !yield(x) {
					return
				}
			}
		}
	}
}

// send produces a letter for each change of b that has a reason and was not sent yet, and notes it in sent.
func (l *letters) send(ctx context.Context, b *batch, sent *sent) error {
	var wait sync.WaitGroup
	var once sync.Once
	var failed error
	for x := range b.refused() {
		if l.sent[x.Record] {
			continue
		}
		to := topics.DeadLetters(l.pipeline, x.Table.Stream)
		id := topics.LetterID(stageName, x.Record.Topic, x.Epoch, x.Record.Partition, x.Record.Offset)
		letter := topics.Letter{Stage: stageName, Generation: x.Version.Generation(), Step: letterStep(x), Reason: x.Reason.Error(), Attempt: attempt(x)}
		wait.Add(1)
		l.client.Produce(ctx, letter.Record(to, id, x.Record), func(_ *kgo.Record, err error) {
			if err != nil {
				once.Do(func() { failed = fmt.Errorf("%w to %s: %w", errLetter, to, err) })
			}
			wait.Done()
		})
	}
	wait.Wait()
	if failed != nil {
		return failed
	}
	for x := range b.refused() {
		if l.sent[x.Record] {
			continue
		}
		l.sent[x.Record] = true
		sent.count[x.Table.Stream]++
		sent.refused.Add(x.Table.Stream, letterStep(x), x.Reason.Error(), string(x.Record.Key))
	}
	return nil
}

// letterStep is where the sink refuses: at the table.
func letterStep(x *rows.Change) string { return "sink." + x.Table.Name }

// attempt is that of the retry that made a record.
func attempt(x *rows.Change) int {
	header, _ := topics.Header(x.Record, topics.HeaderAttempt)
	n, err := strconv.Atoi(string(header))
	if err != nil {
		return 1
	}
	return n
}
