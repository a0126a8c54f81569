// Package letters reads dead-letter topics: which records are refused, and which of their letters are closed. A letter
// is closed by a closing record behind it in the same partition, which says what has become of the refused record.
// Nothing in a dead-letter topic is ever changed or deleted.
//
// All letters of one raw record are one refusal: whichever stage refused it, the latest counts, which is the one of the
// highest generation. A closing record closes the letters up to its own generation. So a record that a retry refuses
// again is open again, and to close the same letters twice changes nothing.
package letters

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// Letter is the latest letter of a refused record.
type Letter struct {
	topics.Letter // Attempt is the highest of all letters of the record

	Origin   topics.Origin
	Record   *kgo.Record        // of the dead-letter topic
	Position topics.RawPosition // of the raw record
	Closed   *Closing           // nil: it is open
}

// Closing says what has become of a refused record.
type Closing struct {
	topics.Closing

	At time.Time
}

// Retryable reports whether the raw record of l can be processed again: there is one, and it has a key.
func (l *Letter) Retryable() bool { return l.Position.InRaw && l.Record.Key != nil }

// Book keeps the letters of one dead-letter topic. The zero value is ready. Its methods may not be called concurrently.
type Book struct {
	// Keep has it keep the values of the letters, which retries do not need.
	Keep bool

	letters  map[string]*Letter
	closings map[string]Closing
	failed   error
}

// Add notes a record of the topic, in the order of its partition.
func (b *Book) Add(r *kgo.Record) {
	l, origin, err := topics.ParseLetter(r)
	if err != nil {
		b.failed = cmp.Or(b.failed, fmt.Errorf("%s[%d]@%d is no letter of ours: %w", r.Topic, r.Partition, r.Offset, err))
		return
	}
	if b.letters == nil {
		b.letters, b.closings = map[string]*Letter{}, map[string]Closing{}
	}
	at := topics.LetterPosition(r, origin)
	id := origin.ID
	if at.InRaw {
		id = at.String()
	}
	if c, closes := topics.ParseClosing(r); closes {
		if was, ok := b.closings[id]; !ok || c.Generation > was.Generation || c.Outcome == topics.Discarded && was.Outcome != topics.Discarded {
			b.closings[id] = Closing{c, r.Timestamp.UTC()}
		}
		return
	}
	was := b.letters[id]
	if was != nil && was.Generation >= l.Generation {
		was.Attempt = max(was.Attempt, l.Attempt)
		return // it was sent twice, or is of a logic before
	}
	if was != nil {
		l.Attempt = max(l.Attempt, was.Attempt)
	}
	if !b.Keep {
		r.Value = nil
	}
	b.letters[id] = &Letter{Letter: l, Origin: origin, Record: r, Position: at}
}

// All returns the letters in the order of time, and says which are closed. The error tells of a record that is no
// letter.
func (b *Book) All() ([]*Letter, error) {
	out := make([]*Letter, 0, len(b.letters))
	for id, l := range b.letters {
		if c, ok := b.closings[id]; ok && (c.Generation >= l.Generation || c.Outcome == topics.Discarded) {
			l.Closed = &c
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b *Letter) int {
		return cmp.Or(a.Record.Timestamp.Compare(b.Record.Timestamp), cmp.Compare(a.Record.Partition, b.Record.Partition),
			cmp.Compare(a.Record.Offset, b.Record.Offset))
	})
	return out, b.failed
}

// Read reads the dead-letter topic of a stream to its end.
func Read(ctx context.Context, opts []kgo.Opt, pipeline, stream string, keep bool) ([]*Letter, error) {
	b := Book{Keep: keep}
	if err := admin.Read(ctx, opts, topics.DeadLetters(pipeline, stream), b.Add); err != nil {
		return nil, err
	}
	return b.All()
}

// Close writes closing records, and returns once the brokers have all of them, or ctx ends. Written twice they say the
// same, so it may be called again after any error.
func Close(ctx context.Context, opts []kgo.Opt, closed map[*Letter]topics.Closing, maxBytes int32) error {
	if len(closed) == 0 {
		return nil
	}
	cl, err := kgo.NewClient(append(slices.Clone(opts), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(maxBytes+topics.LetterBytes))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	defer context.AfterFunc(ctx, cl.Close)() // else it waits for the answer to what it has sent, whatever ctx says
	records := make([]*kgo.Record, 0, len(closed))
	for l, c := range closed {
		c.Generation = l.Generation
		records = append(records, c.Record(l.Record))
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("close %s letters: %w", strconv.Itoa(len(records)), cmp.Or(ctx.Err(), err))
	}
	return nil
}
