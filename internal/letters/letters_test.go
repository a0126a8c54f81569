package letters_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/topics"
)

// letterOf is the letter of a stage for the raw record 0:2:7, in a generation.
func letterOf(stage string, generation uint16, attempt int) *kgo.Record {
	raw := &kgo.Record{Partition: 2, Key: []byte("k"), Value: []byte("{}")}
	id := topics.LetterID(stage, "p.s.raw", 0, 2, 7)
	if stage == "sink" {
		id = topics.LetterID(stage, "p.s.processed", 0, 2, int64(generation)*100)
		version := topics.NewVersion(0, 0, 7, generation)
		raw.Headers = []kgo.RecordHeader{{Key: topics.HeaderVersion, Value: version[:]}}
	}
	r := topics.Letter{Stage: stage, Generation: generation, Step: "x", Reason: "y", Attempt: attempt}.Record("p.s.dlq", id, raw)
	r.Timestamp = time.Unix(int64(generation), 0)
	return r
}

// TestBook: the latest letter of a raw record counts, whichever stage refused it; a closing record closes those up to
// its generation, and that of a discarded record all.
func TestBook(t *testing.T) {
	var b letters.Book
	is := func(attempt int, closed topics.Outcome) {
		t.Helper()
		all, err := b.All()
		if err != nil || len(all) != 1 || all[0].Attempt != attempt || !all[0].Retryable() {
			t.Fatalf("%v, %+v", err, all)
		}
		var outcome topics.Outcome
		if all[0].Closed != nil {
			outcome = all[0].Closed.Outcome
		}
		if outcome != closed {
			t.Errorf("%q, want %q", outcome, closed)
		}
	}
	first := letterOf("processor", 1, 1)
	b.Add(first)
	b.Add(letterOf("processor", 1, 1)) // sent twice
	is(1, "")
	b.Add(topics.Closing{Outcome: topics.RefusedAgain, Generation: 1}.Record(first))
	is(1, topics.RefusedAgain)
	second := letterOf("sink", 3, 2)
	b.Add(second)
	is(2, "")
	b.Add(topics.Closing{Outcome: topics.Retried, Generation: 3}.Record(second))
	b.Add(topics.Closing{Outcome: topics.RefusedAgain, Generation: 1}.Record(first)) // once more, late
	is(2, topics.Retried)
	third := letterOf("processor", 5, 1) // of a replay
	b.Add(third)
	is(2, "")
	b.Add(topics.Closing{Outcome: topics.Discarded, Generation: 5, Why: "a test"}.Record(third))
	is(2, topics.Discarded)
	b.Add(letterOf("sink", 8, 1))
	is(2, topics.Discarded)
	b.Add(&kgo.Record{Topic: "p.s.dlq", Value: []byte("another program's")})
	if _, err := b.All(); err == nil {
		t.Error("no error for a record that is no letter")
	}
}
