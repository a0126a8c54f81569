package sink

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// remake deletes a topic and, if again, makes it anew.
func (w *world) remake(topic string, again bool) {
	w.t.Helper()
	if _, err := w.adm.DeleteTopics(w.t.Context(), topic); err != nil {
		w.t.Fatal(err)
	}
	if again {
		testkit.Eventually(w.t, 30*time.Second, func() error { return admin.Ensure(w.t.Context(), w.adm, topics.Specs(w.pipeline)) })
	}
}

// TestProcessedTopicMadeAnewWhileRunning: the stream waits for an operator, who is told in few words, and goes on with the
// new topic when its position is taken away.
func TestProcessedTopicMadeAnewWhileRunning(t *testing.T) {
	for _, again := range []bool{true, false} {
		t.Run(fmt.Sprintf("made anew %t", again), func(t *testing.T) {
			w := newWorld(t, onSQLite(t))
			topic := topics.Processed("p", "s")
			w.produce(300)
			r := w.start("one", nil)
			db := w.db()
			w.caughtUp(db, 30*time.Second)
			w.remake(topic, again)
			r.waits(t, "stream s: "+topic, "the topic was deleted and made again")
			if n := strings.Count(r.log.String(), "the topic "+topic+" was deleted"); n != 1 {
				t.Errorf("told %d times that the topic was deleted", n)
			}
			if n := strings.Count(r.log.String(), "waiting for stream s"); n != 1 {
				t.Errorf("told %d times that the stream waits", n)
			}
			if n := strings.Count(r.log.String(), "\n"); n > 20 {
				t.Errorf("%d lines:\n%s", n, r.log)
			}
			if _, err := db.Exec("DELETE FROM millrace_offsets"); err != nil {
				t.Fatal(err)
			}
			w.client.PurgeTopicsFromProducing(topic)
			w.send(w.record("after", 7))
			r.ready(t)
			testkit.Eventually(t, 30*time.Second, func() error {
				var n int
				if err := db.QueryRow("SELECT n FROM things WHERE id = 'after'").Scan(&n); err != nil || n != 7 {
					return fmt.Errorf("after is %d: %w", n, err)
				}
				return nil
			})
		})
	}
}

// TestLetterTopicMadeAnewWhileRunning: letters go to the new one.
func TestLetterTopicMadeAnewWhileRunning(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	r := w.start("one", nil)
	w.send(w.record("a", "refused"))
	testkit.Eventually(t, 30*time.Second, testkit.That("a letter", func() bool { return len(w.letters()) == 1 }))
	w.remake(topics.DeadLetters("p", "s"), false)
	for i := range 20 { // polls enough to fill what the writer is fed by, while it waits for the topic
		w.send(w.record(fmt.Sprint("b", i), "refused"))
	}
	testkit.Eventually(t, 60*time.Second, testkit.That("the topic, made again", func() bool {
		return strings.Contains(r.log.String(), "the topic p.s.dlq was deleted")
	}))
	testkit.Eventually(t, 60*time.Second, testkit.That("the letters", func() bool { return len(w.letters()) == 20 }))
	r.ready(t)
	w.caughtUp(w.db(), 30*time.Second)
}
