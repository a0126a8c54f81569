package tool

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkit"
)

// TestDeletesBesideARun: rows of what the API shows no more go by themselves, up to a limit; beyond it they go when
// somebody allows it, or with a sweep.
func TestDeletesBesideARun(t *testing.T) {
	api := newWarehouse(t, 30)
	path := pipelineFile(t, api.URL, "defaults: {ingest: {deletes: complete_read}}")
	p := launch(t, "millrace", "run", path, "--listen", "127.0.0.1:0")
	awaitTable(t, path, api.shows())
	run := func(code int, want string, args ...string) {
		t.Helper()
		got, stdout, stderr := invoke(t, "millrace", args...)
		if got != code || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%v: %d, want %d and %q\n%s%s", args, got, code, want, stdout, stderr)
		}
	}
	run(cli.ExitOK, "nothing is held", "deletes", path, "--allow")
	api.drop(7, 8)
	awaitTable(t, path, api.shows())
	held := func(want string) {
		t.Helper()
		testkit.Eventually(t, patience, testkit.That(want, func() bool {
			_, stdout, _ := invoke(t, "millrace", "deletes", path)
			return strings.Contains(stdout, want)
		}))
	}
	api.drop(1, 2, 3, 4, 5)
	held("orders: the last complete read has shown 23 keys; 5 of 28 are held, as ")
	run(cli.ExitError, "--yes answers", "deletes", path, "orders", "--allow")
	if got := tableIDs(t, path); len(got) != 28 {
		t.Errorf("%d rows, want 28", len(got))
	}
	run(cli.ExitOK, "orders: the next complete read deletes 5 keys", "deletes", path, "--allow", "--yes")
	awaitTable(t, path, api.shows())
	held("orders: the last complete read has shown 23 keys; nothing is left to delete")
	api.drop(10, 11, 12, 13)
	held("4 of 23 are held")
	run(cli.ExitOK, "4 keys deleted", "reset", path, "orders", "--sweep", "--sweep-limit", "20", "--yes")
	awaitTable(t, path, api.shows())
	held("orders: the last complete read has shown 19 keys; nothing is left to delete")
	if log := p.stderr.String(); strings.Count(log, "is more than at_most: 10%") != 2 {
		t.Errorf("what is held was not told of once each:\n%s", log)
	}
}
