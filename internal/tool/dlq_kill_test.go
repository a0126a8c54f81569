//go:build !race

package tool

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// ledger is a pipeline that runs, whose API shows more orders and other totals with time. A total of 20 is refused.
type ledger struct {
	refusals

	mu     sync.Mutex
	totals []int // by order
	want   []int // totals that the table has in the end, by order
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{refusals: refusals{t: t}}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		var list []string
		for id, total := range l.totals {
			list = append(list, fmt.Sprintf(`{"id":%d,"total":%d}`, id, total))
		}
		_, _ = fmt.Fprintf(w, "[%s]", strings.Join(list, ","))
	}))
	t.Cleanup(api.Close)
	l.path = pipelineFile(t, api.URL)
	rewrite(t, l.path, "    sink:", "    process: [{map: {id: id, total: total + 0 / (total - 20)}}]\n    sink:")
	l.show(func() { l.totals, l.want = []int{10}, []int{10} })
	launchFor(t, 20*time.Minute, "millrace", "run", l.path, "--listen", "127.0.0.1:0")
	l.await()
	return l
}

// show has the API show something else.
func (l *ledger) show(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// await waits until the table has the rows that are wanted.
func (l *ledger) await() {
	l.t.Helper()
	l.rows(strings.Trim(strings.ReplaceAll(fmt.Sprint(l.want), " ", ","), "[]"))
}

// refuse has two more orders refused, the second of which then has a newer record. The first is to be 21 in the end.
func (l *ledger) refuse() {
	l.t.Helper()
	first := len(l.totals)
	l.show(func() { l.totals = append(l.totals, 20, 20) })
	testkit.Eventually(l.t, patience, testkit.That("two open letters", func() bool {
		code, stdout, _ := invoke(l.t, "millrace", "dlq", "list", l.path)
		return code == 0 && strings.Contains(stdout, "open   2 ")
	}))
	l.show(func() { l.totals[first+1] = 45 })
	l.want = append(l.want, 45)
	l.await()
	l.want = append(l.want[:first], 21, 45)
}

// check compares what there is after the letters were answered: rows, letters, and records of the topics.
func (l *ledger) check() {
	l.t.Helper()
	l.await()
	l.say("no letter is open", cli.ExitOK, "list")
	edited, processed := map[string]int{}, map[string]int{}
	l.read(topics.Raw("shop", "orders"), func(r *kgo.Record) {
		if _, ok := topics.Header(r, topics.HeaderEdit); ok {
			edited[string(r.Key)]++
		}
	})
	l.read(topics.Processed("shop", "orders"), func(r *kgo.Record) { processed[string(r.Key)]++ })
	for id, total := range l.want {
		key, want := fmt.Sprint(id), 0
		if total == 21 {
			want = 1
		}
		if edited[key] != want || processed[key] != 1 {
			l.t.Errorf("order %s was written %d times, want %d, and processed %d times, want once", key, edited[key], want, processed[key])
		}
	}
}

func (l *ledger) read(topic string, f func(*kgo.Record)) {
	l.t.Helper()
	if err := onStream(l.t.Context(), l.path, "orders", func(o *operation) error { return admin.Read(l.t.Context(), o.opts, topic, f) }); err != nil {
		l.t.Fatal(err)
	}
}

// TestEditsKilledAtEachStep: `dlq retry --edit` and `dlq import` are killed at each request that changes something, and
// run again. Each letter is in the table once, or superseded, and brings nothing back.
func TestEditsKilledAtEachStep(t *testing.T) {
	l := newLedger(t)
	dir := t.TempDir()
	editor, file := filepath.Join(dir, "edit.sh"), filepath.Join(dir, "edited.ndjson")
	if err := os.WriteFile(editor, []byte("#!/bin/sh\nsed -i 's/\"total\": 20/\"total\": 21/' \"$1\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VISUAL", editor)
	export := func() {
		text := strings.ReplaceAll(l.say(`"headers":{`, cli.ExitOK, "export"), `"total":20}`, `"total":21}`)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	retry := &retryFlags{edit: true}
	retry.yes, retry.output = true, "table"
	for _, c := range []struct {
		args    []string
		command func(*cobra.Command, *operation) error
	}{
		{[]string{"retry", "--edit", "--yes"}, func(cmd *cobra.Command, o *operation) error { return editLetters(cmd, o, retry) }},
		{[]string{"import", file, "--yes"}, func(cmd *cobra.Command, o *operation) error {
			return withInput(cmd, file, func(in io.Reader) error { return importLetters(cmd, o, in, &importFlags{yes: true, output: "table"}) })
		}},
	} {
		kills := killEach(t, l.path, 1, c.command, func(int64) {
			l.refuse()
			export()
		}, func(int64) { l.say("", cli.ExitOK, c.args...) }, func(int64) { l.check() })
		if kills < 4 {
			t.Errorf("%v: %d kills", c.args, kills)
		}
	}
}
