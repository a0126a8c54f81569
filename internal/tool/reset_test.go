package tool

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkit"
)

// warehouse is an API whose orders come and go.
type warehouse struct {
	*httptest.Server

	mu       sync.Mutex
	ids      []int
	more     string // what is shown besides, with a comma before it
	requests int
}

func newWarehouse(t *testing.T, n int) *warehouse {
	t.Helper()
	w := &warehouse{}
	for i := range n {
		w.ids = append(w.ids, i)
	}
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.requests++
		var list []string
		for _, i := range w.ids {
			list = append(list, fmt.Sprintf(`{"id": %d, "total": %d}`, i, 10*i))
		}
		_, _ = fmt.Fprintf(out, "[%s%s]", strings.Join(list, ","), w.more)
	}))
	t.Cleanup(w.Close)
	return w
}

// alsoShow has the API show what is no order besides.
func (w *warehouse) alsoShow(more string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.more = more
}

// drop has the API no longer show some orders.
func (w *warehouse) drop(ids ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids = slices.DeleteFunc(w.ids, func(i int) bool { return slices.Contains(ids, i) })
}

func (w *warehouse) shows() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.ids)
}

// tableIDs are the ids in the table of the pipeline's SQLite file.
func tableIDs(t *testing.T, path string) (ids []int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(filepath.Dir(path), "data", "millrace.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(t.Context(), "SELECT id FROM orders ORDER BY id")
	if err != nil {
		return nil // not there yet
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if rows.Err() != nil {
		return nil
	}
	return ids
}

func awaitTable(t *testing.T, path string, want []int) {
	t.Helper()
	testkit.Eventually(t, patience, testkit.That(fmt.Sprint("the rows ", want), func() bool { return slices.Equal(tableIDs(t, path), want) }))
}

// TestResetBesideARun: rows of what the API shows no more go with --sweep, up to a limit; the raw history goes with
// --all.
func TestResetBesideARun(t *testing.T) {
	t.Parallel()
	api := newWarehouse(t, 30)
	path := pipelineFile(t, api.URL)
	p := launch(t, "millrace", "run", path, "--listen", "127.0.0.1:0")
	awaitTable(t, path, api.shows())
	run := func(code int, want string, args ...string) {
		t.Helper()
		got, stdout, stderr := invoke(t, "millrace", append([]string{"reset", path}, args...)...)
		if got != code || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%v: %d, want %d and %q\n%s%s", args, got, code, want, stdout, stderr)
		}
	}
	run(cli.ExitUsage, "--pipeline")
	run(cli.ExitUsage, "--since", "orders", "--since", "1h", "--sweep")
	run(cli.ExitUsage, "ingest.incremental", "orders", "--since", "1h", "--yes")
	run(cli.ExitError, "--yes answers", "orders")
	run(cli.ExitOK, "running processes begin within seconds", "orders", "--yes")

	api.drop(7, 8)
	run(cli.ExitOK, "2 keys deleted", "orders", "--sweep", "--yes")
	awaitTable(t, path, api.shows())

	api.drop(1, 2, 3, 4, 5)
	run(cli.ExitError, "nothing was deleted: 17.9 % of the keys are more than --sweep-limit 10", "orders", "--sweep", "--yes")
	if got := tableIDs(t, path); len(got) != 28 {
		t.Errorf("%d rows, want 28", len(got))
	}
	if code, stdout, _ := invoke(t, "millrace", "status", path); code != 0 || !strings.Contains(stdout, "a sweep waits for a complete pass") {
		t.Errorf("status: %d %s", code, stdout)
	}
	run(cli.ExitOK, `"deleted": 5`, "orders", "--sweep", "--sweep-limit", "20", "--output", "json")
	awaitTable(t, path, api.shows())

	api.drop(20)
	run(cli.ExitOK, "the raw records from before the reset are deleted", "--pipeline", "--all", "--yes")
	awaitTable(t, path, api.shows())
	if code, stdout, _ := invoke(t, "millrace", "status", path); code != 0 || !strings.Contains(stdout, "runs") {
		t.Errorf("status: %d %s", code, stdout)
	}
	if strings.Contains(p.stderr.String(), "fenced") || p.disturbed() != "" {
		t.Error("the running process was disturbed")
	}
	p.send(t, syscall.SIGTERM)
	if code := p.exit(t).ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	run(cli.ExitError, "start `millrace run "+path+"`, and beside it `millrace reset "+path+" orders --sweep`, which continues", "orders", "--sweep", "--yes")
	api.drop(21)
	p = launch(t, "millrace", "run", path, "--listen", "127.0.0.1:0")
	p.address(t)
	run(cli.ExitOK, "1 key deleted", "orders", "--sweep")
	awaitTable(t, path, api.shows())
}

func TestAsk(t *testing.T) {
	for answer, want := range map[string]error{"y\n": nil, "Yes\n": nil, "n\n": errNo, "\n": errNo, "": errNo} {
		var out bytes.Buffer
		if err := ask(strings.NewReader(answer), &out, "Go on?"); !errors.Is(err, want) || out.String() != "Go on? [y/N] " {
			t.Errorf("%q: %v %q", answer, err, out.String())
		}
	}
}
