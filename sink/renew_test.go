package sink

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// remake deletes a topic and, if again, recreates it.
func (w *world) remake(topic string, again bool) {
	w.t.Helper()
	if _, err := w.adm.DeleteTopics(w.t.Context(), topic); err != nil {
		w.t.Fatal(err)
	}
	if again {
		testkit.Eventually(w.t, 2*time.Minute, func() error { return admin.Ensure(w.t.Context(), w.adm, topics.Specs(w.pipeline)) })
	}
}

// TestTopicsRecreatedWhileRunning: raw and processed topic are recreated, so raw offsets begin at 0 again. The sink
// goes on with the new one by itself, what it holds replaces the rows, and a notice stays.
func TestTopicsRecreatedWhileRunning(t *testing.T) {
	for _, again := range []bool{true, false} {
		t.Run(fmt.Sprintf("recreated %t", again), func(t *testing.T) {
			w := newWorld(t, onSQLite(t))
			topic := topics.Processed("p", "s")
			w.produce(300)
			w.send(w.record("kept", 1), w.record("changed", 1))
			r := w.start("one", nil)
			db := w.db()
			w.caughtUp(db, 2*time.Minute)
			w.remake(topic, again)
			r.degraded(t, "the topic p.s.processed was recreated: what the new one holds replaces the rows")
			w.restartOffsets()
			w.send(w.record("changed", 2), w.record("after", 7), w.record("kept", "refused"))
			w.caughtUp(db, 2*time.Minute)
			r.ready(t)
			for text, most := range map[string]int{
				"the topic " + topic + " was deleted": 1, "the topic " + topic + " was recreated": 1, "waiting for stream s": 0, "\n": 100,
			} {
				if n := strings.Count(r.log.String(), text); n > most {
					t.Errorf("%q is told %d times:\n%s", text, n, r.log)
				}
			}
			letters, ofEpoch := w.letters(), 0
			for id := range letters {
				if strings.HasPrefix(id, "sink:"+topic+":1:") {
					ofEpoch++
				}
			}
			if len(letters) != w.refused || ofEpoch != 1 {
				t.Errorf("%d ids of %d letters, %d of the new topic's one: %v", len(letters), w.refused, ofEpoch, letters)
			}
		})
	}
}

// TestTopicsRecreatedBetweenTwoRuns is the same while no sink runs.
func TestTopicsRecreatedBetweenTwoRuns(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.produce(300)
	w.send(w.record("changed", 1))
	w.start("one", nil).drainAfter(t, w)
	w.remake(topics.Processed("p", "s"), true)
	w.restartOffsets()
	w.send(w.record("changed", 2))
	r := w.start("two", nil)
	w.caughtUp(w.db(), 2*time.Minute)
	r.degraded(t, "was recreated")
}

// TestTopicsRecreatedBesideTwoSinks: both go on, in one epoch.
func TestTopicsRecreatedBesideTwoSinks(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.produce(300)
	w.send(w.record("changed", 1))
	one, two := w.start("one", nil), w.start("two", nil)
	w.caughtUp(w.db(), 2*time.Minute)
	w.remake(topics.Processed("p", "s"), true)
	w.restartOffsets()
	w.send(w.record("changed", 2))
	w.produce(300)
	w.caughtUp(w.db(), 2*time.Minute)
	one.ready(t)
	two.ready(t)
	var epoch int
	if err := w.db().QueryRow("SELECT epoch FROM millrace_owners WHERE table_name = 'things'").Scan(&epoch); err != nil || epoch != 1 {
		t.Errorf("epoch %d, %v; want 1", epoch, err)
	}
	if n := strings.Count(one.log.String()+two.log.String(), "was recreated: what the new one holds"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestSecondPipelineOnATable: it waits alone, adopts the table, and the first one then waits.
func TestSecondPipelineOnATable(t *testing.T) { secondPipeline(t, onSQLite(t)) }

func secondPipeline(t *testing.T, p *pipeline.Pipeline) {
	t.Helper()
	first := newWorld(t, p)
	first.send(first.record("a", 1), first.record("b", 1))
	one := first.start("one", nil)
	first.caughtUp(first.db(), 2*time.Minute)
	other := *p
	second := newWorld(t, &other)
	second.rename("q")
	second.send(second.record("a", 2), second.record("b", 2))
	two := second.start("two", nil)
	two.waits(t, "stream s: table things: the stream s of the pipeline p writes it", "--adopt s")
	first.send(first.record("b", 3))
	first.caughtUp(first.db(), 2*time.Minute)
	two.drain(t, 2*time.Minute)
	two = second.start("three", func(c *Config) { c.Adopt = []string{"s"} })
	two.degraded(t, "the table things was adopted, from the stream s of the pipeline p")
	second.caughtUp(second.db(), 2*time.Minute)
	first.send(first.record("a", 666))
	one.waits(t, "stream s: table things: the stream s of the pipeline q writes it")
	second.send(second.record("b", 4))
	second.caughtUp(second.db(), 2*time.Minute)
}

// rename makes w a pipeline of another name, on its own broker.
func (w *world) rename(name string) {
	w.t.Helper()
	w.pipeline.Name = name
	if err := admin.Ensure(w.t.Context(), w.adm, topics.Specs(w.pipeline)); err != nil {
		w.t.Fatal(err)
	}
}

// restartOffsets has raw offsets begin again.
func (w *world) restartOffsets() {
	clear(w.raw)
	w.client.PurgeTopicsFromProducing(topics.Processed(w.pipeline.Name, "s"))
}

// degraded returns once health tells of text as a notice.
func (r *running) degraded(t *testing.T, text string) {
	t.Helper()
	testkit.Eventually(t, 2*time.Minute, func() error {
		if told := r.health.Degraded()["sink s"]; !strings.Contains(told, text) {
			return fmt.Errorf("health says %q, want that it says %q", told, text)
		}
		return nil
	})
}

// TestLetterTopicRecreatedWhileRunning: letters go to the new one.
func TestLetterTopicRecreatedWhileRunning(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	r := w.start("one", nil)
	w.send(w.record("a", "refused"))
	testkit.Eventually(t, 2*time.Minute, testkit.That("a letter", func() bool { return len(w.letters()) == 1 }))
	w.remake(topics.DeadLetters("p", "s"), false)
	for i := range 20 { // polls enough to fill what the writer is fed by, while it waits for the topic
		w.send(w.record(fmt.Sprint("b", i), "refused"))
	}
	testkit.Eventually(t, 2*time.Minute, testkit.That("the topic, made again", func() bool {
		return strings.Contains(r.log.String(), "the topic p.s.dlq was deleted")
	}))
	testkit.Eventually(t, 2*time.Minute, testkit.That("the letters", func() bool { return len(w.letters()) == 20 }))
	r.ready(t)
	w.caughtUp(w.db(), 2*time.Minute)
}
