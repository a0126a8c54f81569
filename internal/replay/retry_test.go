package replay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/internal/replay"
	"github.com/millrace-io/millrace/internal/testworld"
	"github.com/millrace-io/millrace/topics"
)

// faulty refuses a record whose n is 7.
var faulty = testworld.Logic{Refuses: "draft", By: 3, N: "n * 3 * (n - 7) / (n - 7)"}

// letters are those of the stream.
func (w *world) letters() []*letters.Letter {
	w.T.Helper()
	all, err := letters.Read(w.T.Context(), w.Env("letters").Kafka, "p", "s", false)
	if err != nil {
		w.T.Fatal(err)
	}
	return all
}

// told is, by key, what has become of its letters: an outcome, or the attempt of an open one.
func (w *world) told() map[string]string {
	w.T.Helper()
	out := map[string]string{}
	for _, l := range w.letters() {
		text := fmt.Sprintf("open, attempt %d", l.Attempt)
		if l.Closed != nil {
			text = string(l.Closed.Outcome)
		}
		out[string(l.Record.Key)] = strings.TrimPrefix(out[string(l.Record.Key)]+"; "+text, "; ")
	}
	return out
}

// unanswered are those that can be retried.
func unanswered(all []*letters.Letter) (open []*letters.Letter) {
	for _, l := range all {
		if l.Closed == nil && l.Retryable() {
			open = append(open, l)
		}
	}
	return open
}

// retry retries all that is open.
func (w *world) retry(l testworld.Logic) {
	w.T.Helper()
	for _, b := range replay.Batches(unanswered(w.letters()), 0) {
		p := w.of(l)
		w.replay(l, b.Ask(p, p.Stream("s"), 0))
	}
}

// TestRetry: each letter of a newest record is in the table, an older one brings nothing back, and only what is refused
// again is open.
func TestRetry(t *testing.T) {
	w := newWorld(t, 2, faulty)
	w.produce(testworld.Raw(1, "ok", 7), testworld.Raw(2, "ok", 5), testworld.Raw(3, "ok", 7), testworld.Raw(4, "ok", 7), testworld.Raw(5, "ok", "x"), testworld.Raw(6, "ok", 1))
	w.produce(testworld.Raw(2, "ok", 7), testworld.Raw(3, "ok", 4), testworld.Raw(4, "", nil))
	w.want(map[int]int{2: 15, 3: 12, 6: 3})
	open := map[string]string{"1": "open, attempt 1", "2": "open, attempt 1", "3": "open, attempt 1", "4": "open, attempt 1", "5": "open, attempt 1"}
	if d := cmp.Diff(open, w.told()); d != "" {
		t.Error(d)
	}
	w.process(right)
	w.retry(right)
	w.want(map[int]int{1: 21, 2: 21, 3: 12, 6: 3})
	answered := map[string]string{"1": "retried", "2": "retried", "3": "superseded", "4": "superseded", "5": "open, attempt 2"}
	if d := cmp.Diff(answered, w.told()); d != "" {
		t.Error(d)
	}
	w.retry(right)
	answered["5"] = "open, attempt 3"
	if d := cmp.Diff(answered, w.told()); d != "" {
		t.Error(d)
	}
	var open5 []*letters.Letter
	for _, l := range w.letters() {
		if l.Closed == nil {
			open5 = append(open5, l)
		}
	}
	for range 2 { // the second time changes nothing
		closed := map[*letters.Letter]topics.Closing{open5[0]: {Outcome: topics.Discarded, Why: "a test"}}
		if err := letters.Close(t.Context(), w.Env("close").Kafka, closed, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	w.replay(right, replay.Ask{}) // refuses it once more, but nobody wants it
	answered["5"] = "discarded"
	if d := cmp.Diff(answered, w.told()); d != "" {
		t.Error(d)
	}
}

// TestRetryOfWhatTheTableRefuses: letters of the sink are retried, and travel on with their attempt.
func TestRetryOfWhatTheTableRefuses(t *testing.T) {
	w := newWorld(t, 1, right)
	w.produce(testworld.Raw(1, "ok", 1))
	if _, err := w.DB.Exec("CREATE TRIGGER seven BEFORE INSERT ON t WHEN NEW.n >= 21 BEGIN SELECT RAISE(ABORT, 'too much'); END"); err != nil {
		t.Fatal(err)
	}
	w.produce(testworld.Raw(1, "ok", 7), testworld.Raw(2, "ok", 8), testworld.Raw(3, "ok", 9))
	w.produce(testworld.Raw(3, "ok", 2))
	w.want(map[int]int{1: 3, 3: 6})
	w.retry(right)
	w.want(map[int]int{1: 3, 3: 6})
	if d := cmp.Diff(map[string]string{"1": "open, attempt 2", "2": "open, attempt 2", "3": "superseded"}, w.told()); d != "" {
		t.Error(d)
	}
	if _, err := w.DB.Exec("DROP TRIGGER seven"); err != nil {
		t.Fatal(err)
	}
	w.retry(right)
	w.want(map[int]int{1: 21, 2: 24, 3: 6})
	if d := cmp.Diff(map[string]string{"1": "retried", "2": "retried", "3": "superseded"}, w.told()); d != "" {
		t.Error(d)
	}
}

// TestRetryThatIsEndedAnywhere: whoever goes on with a retry that died closes its letters, once each.
func TestRetryThatIsEndedAnywhere(t *testing.T) {
	w := newWorld(t, 2, faulty)
	want := map[int]int{}
	var records []*kgo.Record
	for i := range 200 {
		records = append(records, testworld.Raw(i, "ok", 7))
		want[i] = 21
	}
	w.produce(records...)
	p := w.of(right)
	batches := replay.Batches(unanswered(w.letters()), 0)
	if len(batches) != 1 || len(batches[0].Keys) != 200 {
		t.Fatalf("%d batches", len(batches))
	}
	if _, err := w.open(right, "first").Begin(t.Context(), batches[0].Ask(p, p.Stream("s"), 0)); err != nil {
		t.Fatal(err)
	}
	for i := 0; w.Decided().Redo != nil; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(50+i*150)*time.Millisecond)
		if err := w.open(right, fmt.Sprint("attempt", i)).Run(ctx, work()); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		cancel()
	}
	w.want(want)
	for key, outcome := range w.told() {
		if outcome != "retried" {
			t.Errorf("%s: %s", key, outcome)
		}
	}
}

// TestALetterIsClosedBehindWhatItBrings: a retry that dies before it has written anything, and is ended, leaves its
// letters open. The next one brings them into the table.
func TestALetterIsClosedBehindWhatItBrings(t *testing.T) {
	w := newWorld(t, 1, faulty)
	w.produce(testworld.Raw(1, "ok", 7), testworld.Raw(2, "ok", 7), testworld.Raw(2, "ok", 4))
	w.process(right)
	open := map[string]string{"1": "open, attempt 1", "2": "open, attempt 1"}
	is := func(when string, want map[string]string) {
		t.Helper()
		if d := cmp.Diff(want, w.told()); d != "" {
			t.Errorf("%s: %s", when, d)
		}
	}
	writes, allow := w.withhold(topics.ReplayTransactionalIDs("p", "s"))
	p, r := w.of(right), w.open(right, "dies")
	batches := replay.Batches(unanswered(w.letters()), 0)
	if _, err := r.Begin(t.Context(), batches[0].Ask(p, p.Stream("s"), 0)); err != nil {
		t.Fatal(err)
	}
	stop := w.background(r, work())
	select {
	case <-writes:
	case <-time.After(time.Minute):
		t.Error("the retry writes nothing")
	}
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	allow()
	is("after the death", open)
	if _, err := w.open(right, "ends").Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.run(w.open(right, "another"))
	is("after the end", open)
	w.want(map[int]int{2: 12})
	w.retry(right)
	is("after a retry", map[string]string{"1": "retried", "2": "superseded"})
	w.want(map[int]int{1: 21, 2: 12})
}

// withhold breaks the connections of all that is produced with transactional ids that begin so, until allow is called.
// writes is closed when something is.
func (w *world) withhold(ids string) (writes <-chan struct{}, allow func()) {
	var allowed atomic.Bool
	reached := make(chan struct{})
	tell := sync.OnceFunc(func() { close(reached) })
	w.Cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.Cluster.KeepControl()
		id := r.(*kmsg.ProduceRequest).TransactionID
		if allowed.Load() || id == nil || !strings.HasPrefix(*id, ids) {
			return nil, nil, false
		}
		tell()
		return nil, io.ErrClosedPipe, true
	})
	return reached, func() { allowed.Store(true) }
}

// TestBatches: keys that do not fit into one record of the control topic are retried one redo after the other.
func TestBatches(t *testing.T) {
	var open []*letters.Letter
	for i := range 100 {
		l := &letters.Letter{Record: &kgo.Record{Key: fmt.Appendf(nil, "key-%03d", i%50)}}
		l.Attempt = 1 + i/90
		open = append(open, l)
	}
	got, keys := replay.Batches(open, 100), map[string]bool{}
	for _, b := range got {
		bytes := 0
		for _, key := range b.Keys {
			if keys[key] {
				t.Errorf("%s is in two batches", key)
			}
			keys[key] = true
			bytes += len(key) + 3
		}
		if len(b.Letters) != 2*len(b.Keys) || bytes > 100 {
			t.Errorf("%d letters of %d keys, %d bytes", len(b.Letters), len(b.Keys), bytes)
		}
	}
	if last := got[len(got)-1]; len(keys) != 50 || last.Attempt != 3 || len(last.Keys) != 10 {
		t.Errorf("%d keys; the last batch: %+v", len(keys), last)
	}
}
