//go:build integration

package tool

import (
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// TestRetryUnderKills: a column that is too small refuses 11,000 orders. A thousand of them are changed to what it
// takes; then it is made larger, and the others are retried, by a process that is killed twice on the way, as the one
// that runs the stages is. Each is in the table, made exactly once, and the thousand stay as they were changed.
func TestRetryUnderKills(t *testing.T) {
	t.Parallel()
	const changed, all, long = 1000, 11000, 8 * time.Minute
	api := &market{orders: map[int]int{}}
	api.set(0, all, 1000)
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	x := newOnServers(t, server.URL)
	file, db, opts := x.file, x.db, []kgo.Opt{kgo.SeedBrokers(x.brokers...)}
	rewrite(t, file, "total: bigint", "total: tinyint")
	run := launch(t, "millrace", "run", file, "--listen", "127.0.0.1:0")
	states := func() map[string]int {
		out := map[string]int{}
		found, err := letters.Read(t.Context(), opts, x.name, "orders", false)
		for _, l := range found {
			out[outcome(l)]++
		}
		if err != nil {
			out["error"] = 1
		}
		return out
	}
	testkit.Eventually(t, long, func() error {
		if is := states(); is["open"] != all {
			return fmt.Errorf("%v", is)
		}
		return nil
	})
	api.set(0, changed, 5)
	testkit.Eventually(t, long, testkit.That("what was changed", func() bool { return len(totals(t, db)) == changed }))

	rewrite(t, file, "total: tinyint", "total: bigint")
	if _, err := db.Exec("ALTER TABLE orders MODIFY total BIGINT"); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := invoke(t, "millrace", "dlq", "retry", file, "orders", "--dry-run")
	if want := fmt.Sprintf("would be: %d retried, %d superseded", all-changed, changed); code != cli.ExitOK || !strings.Contains(stdout, want) {
		t.Errorf("dry run: %d %s%s", code, stdout, stderr)
	}
	began := time.Now()
	view := control.NewView(control.Config{Pipeline: x.name, Client: opts})
	t.Cleanup(view.Close)
	for _, at := range []control.RedoState{control.Running, control.Ending} { // it is killed as soon as it is there
		retry := launch(t, "millrace", "dlq", "retry", file, "orders", "--yes", "--instance", "retry", "--log-level", "info")
		testkit.Eventually(t, long, func() error {
			if _, err := view.Refresh(t.Context()); err != nil {
				return err
			}
			if redo := view.Stream("orders").Redo; redo == nil || redo.State != at {
				return fmt.Errorf("the redo is %+v\n%s", redo, retry.stderr.String())
			}
			return nil
		})
		for _, p := range []*child{retry, run} {
			p.send(t, os.Kill)
			p.exit(t)
		}
		run = launch(t, "millrace", "run", file, "--listen", "127.0.0.1:0")
	}
	code, stdout, stderr = invoke(t, "millrace", "dlq", "retry", file, "orders", "--yes", "--instance", "retry")
	if want := fmt.Sprintf("%d letters: %d retried, %d superseded", all, all-changed, changed); code != cli.ExitOK || !strings.Contains(stdout, want) {
		t.Fatalf("%d %s%s", code, stdout, stderr)
	}
	t.Logf("%s; %s with two kills", strings.TrimSpace(stdout), time.Since(began).Round(time.Second))
	if is := states(); is["retried"] != all-changed || is["superseded"] != changed || len(is) != 2 {
		t.Errorf("letters: %v", is)
	}
	for id, total := range totals(t, db) {
		if want := api.shows()[id]; total != want {
			t.Fatalf("order %d: %d, want %d", id, total, want)
		}
	}
	if n := len(totals(t, db)); n != all {
		t.Errorf("%d rows, want %d", n, all)
	}
	made := map[string]int{} // by the retry, by key
	if err := admin.Read(t.Context(), opts, topics.Processed(x.name, "orders"), func(r *kgo.Record) {
		if _, again := topics.Header(r, topics.HeaderAttempt); again {
			made[string(r.Key)]++
		}
	}); err != nil {
		t.Fatal(err)
	}
	for key, n := range made {
		if n != 1 {
			t.Errorf("key %s: made %d times", key, n)
		}
	}
	if len(made) != all {
		t.Errorf("%d keys were made again, want %d", len(made), all)
	}
	if lines := run.disturbed(); lines != "" {
		t.Errorf("disturbed:\n%s", lines)
	}
}
