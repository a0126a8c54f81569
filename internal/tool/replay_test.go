package tool

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkit"
)

// rewrite puts another text into a file.
func rewrite(t *testing.T, path, was, is string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(content), was) {
		t.Fatalf("%s lacks %q: %v", path, was, err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(content), was, is)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// orderTotals are the totals in the table, in the order of ids.
func orderTotals(t *testing.T, path string) (all string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(filepath.Dir(path), "data", "millrace.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(t.Context(), "SELECT COALESCE(group_concat(total), '') FROM (SELECT total FROM orders ORDER BY id)").Scan(&all); err != nil {
		return err.Error()
	}
	return all
}

// TestReplay corrects a map beside the process that runs the wrong one, and once more when nothing runs.
func TestReplay(t *testing.T) {
	url, _ := orders(t)
	path := pipelineFile(t, url)
	rewrite(t, path, "    sink:", "    process: [{map: {id: id, total: total * 2}}]\n    sink:")
	if code, _, stderr := invoke(t, "millrace", "replay", path, "orders", "--yes"); code != cli.ExitError || !strings.Contains(stderr, "has not run yet") {
		t.Errorf("before the first run: %d %s", code, stderr)
	}
	p := launch(t, "millrace", "run", path, "--listen", "127.0.0.1:0")
	testkit.Eventually(t, patience, testkit.That("rows", func() bool { return orderTotals(t, path) == "20,40,60" }))

	rewrite(t, path, "total * 2", "total * 3")
	if code, _, stderr := invoke(t, "millrace", "replay", path, "orders"); code != cli.ExitError || !strings.Contains(stderr, "--yes") {
		t.Errorf("without a terminal and --yes: %d %s", code, stderr)
	}
	code, stdout, stderr := invoke(t, "millrace", "replay", path, "orders", "--dry-run")
	for _, want := range []string{"rows changed     3", "  total          3", "total: 40, would be 60"} {
		if code != cli.ExitOK || !strings.Contains(stdout, want) {
			t.Errorf("dry run: %d %s%s, want %q", code, stdout, stderr, want)
		}
	}
	if got := orderTotals(t, path); got != "20,40,60" {
		t.Errorf("after the dry run: %s", got)
	}
	code, stdout, stderr = invoke(t, "millrace", "replay", path, "orders", "--yes")
	if code != cli.ExitOK || !strings.Contains(stdout, "orders: all is processed again, and in the table") {
		t.Fatalf("beside the process: %d %s%s", code, stdout, stderr)
	}
	if got := orderTotals(t, path); got != "30,60,90" {
		t.Errorf("beside the process: %s", got)
	}
	testkit.Eventually(t, patience, testkit.That("the process tells of its old file", func() bool {
		return strings.Contains(p.stderr.String(), "the file has an older logic")
	}))
	if code, _, stderr := invoke(t, "millrace", "replay", "status", path, "orders"); code != cli.ExitError || !strings.Contains(stderr, "no replay is under way") {
		t.Errorf("status: %d %s", code, stderr)
	}
	p.send(t, syscall.SIGTERM)
	p.exit(t)

	rewrite(t, path, "total * 3", "total * 4")
	if code, stdout, stderr := invoke(t, "millrace", "replay", path, "orders", "--yes", "--key", "2"); code != cli.ExitOK {
		t.Fatalf("alone: %d %s%s", code, stdout, stderr)
	}
	if got := orderTotals(t, path); got != "30,80,90" {
		t.Errorf("alone: %s", got)
	}
}

// TestReplayOperated: a replay that is slow is looked at, paused, resumed and aborted by commands beside it, and says
// that it was aborted.
func TestReplayOperated(t *testing.T) {
	t.Parallel()
	p := &patient{t: t, api: newWarehouse(t, 300), name: "shop"}
	p.path = pipelineFile(t, p.api.URL)
	rewrite(t, p.path, "    sink:", "    process: [{map: {id: id, total: total}}]\n    sink:")
	p.start()
	awaitTable(t, p.path, p.api.shows())
	const columns, more = "total: bigint}", "total: bigint, note: varchar(10)}"
	rewrite(t, p.path, "total: total}", "total: total * 2, note: id}")
	rewrite(t, p.path, columns, more)
	for _, flag := range []string{"--yes", "--output=json"} {
		p.command(cli.ExitOK, "millrace replay "+p.path+" orders --shadow", "replay", "orders", "--dry-run", flag)
	}
	p.command(cli.ExitError, "millrace replay "+p.path+" orders --shadow", "replay", "orders", "--yes")
	rewrite(t, p.path, more, columns)
	rewrite(t, p.path, ", note: id}", "}")
	replay := func(args ...string) (string, int) {
		t.Helper()
		code, stdout, stderr := invoke(t, "millrace", append([]string{"replay", args[0], p.path, "orders"}, args[1:]...)...)
		return stdout + stderr, code
	}
	if said, code := replay("pause"); code != cli.ExitError || !strings.Contains(said, "no replay is under way") {
		t.Errorf("nothing to pause: %d %s", code, said)
	}
	slow := launch(t, "millrace", "replay", p.path, "orders", "--yes", "--rate", "1")
	testkit.Eventually(t, patience, testkit.That("a rate", func() bool {
		said, code := replay("status")
		return code == cli.ExitOK && strings.Contains(said, "state:       running") && strings.Contains(said, "a second, ") && strings.Contains(said, "rate:")
	}))
	for _, c := range []struct{ verb, want string }{
		{"pause", `"state": "paused"`}, {"status", `"paused": true`}, {"resume", `"state": "running"`}, {"status", `"paused": false`},
	} {
		if said, code := replay(c.verb, "--output", "json"); code != cli.ExitOK || !strings.Contains(said, c.want) {
			t.Errorf("%s: %d, lacks %s:\n%s", c.verb, code, c.want, said)
		}
	}
	if said, code := replay("abort"); code != cli.ExitError || !strings.Contains(said, "--yes answers") {
		t.Errorf("abort: %d %s", code, said)
	}
	if said, code := replay("abort", "--yes", "--output", "json"); code != cli.ExitOK || !strings.Contains(said, `"state": "aborted"`) {
		t.Errorf("abort: %d %s", code, said)
	}
	if code := slow.exit(t).ExitCode(); code != cli.ExitError || !strings.Contains(slow.stderr.String(), "the replay was aborted before all was processed again") {
		t.Errorf("the replay itself: %d %s%s", code, slow.stdout.String(), slow.stderr.String())
	}
	p.command(cli.ExitOK, "paused: sink", "pause", "orders", "--stage", "sink")
	waits := launch(t, "millrace", "replay", p.path, "orders", "--yes")
	testkit.Eventually(t, patience, testkit.That("the pause is told", func() bool {
		return strings.Contains(waits.stderr.String(), "the sink is paused") && strings.Contains(waits.stderr.String(), "millrace resume "+p.path+" orders")
	}))
	p.command(cli.ExitOK, `"sink"`, "resume", "orders", "--output", "json")
	if code := waits.exit(t).ExitCode(); code != cli.ExitOK {
		t.Errorf("after the pause: %d %s", code, waits.stderr.String())
	}
	p.stop()
}

// TestReplayUsage: what is asked for in a wrong way is refused before anything is begun.
func TestReplayUsage(t *testing.T) {
	url, _ := orders(t)
	path := pipelineFile(t, url)
	for _, c := range []struct{ args, want string }{
		{"--from yesterday", "a duration back from now"},
		{"--from -3h", "a duration back from now"},
		{"--to 0:1,0:2", "offsets such as"},
		{"--rate -1", "0 or more"},
		{"--memory 0", "1 or more"},
	} {
		args := append([]string{"replay", path, "orders", "--yes"}, strings.Fields(c.args)...)
		if code, _, stderr := invoke(t, "millrace", args...); code != cli.ExitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: %d %s", c.args, code, stderr)
		}
	}
	if code, _, stderr := invoke(t, "millrace", "replay", path, "parcels"); code != cli.ExitUsage || !strings.Contains(stderr, `no stream "parcels"`) {
		t.Errorf("%d %s", code, stderr)
	}
}

// TestLogicWasWrong executes docs/runbooks/logic-was-wrong.md: what its commands print is what the page shows.
func TestLogicWasWrong(t *testing.T) {
	page, err := os.ReadFile("../../docs/runbooks/logic-was-wrong.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{} // by command
	for _, block := range strings.Split(string(page), "```console\n$ ")[1:] {
		block, _, _ = strings.Cut(block, "```")
		command, output, _ := strings.Cut(block, "\n")
		shown[command] = output
	}
	url, _ := orders(t)
	path := pipelineFile(t, url)
	rewrite(t, path, "    sink:", "    process: [{map: {id: id, total: total * 100}}]\n    sink:")
	launch(t, "millrace", "run", path, "--listen", "127.0.0.1:0")
	testkit.Eventually(t, patience, testkit.That("rows", func() bool { return orderTotals(t, path) == "1000,2000,3000" }))
	rewrite(t, path, "total * 100", "total / 10")
	for _, command := range []string{"millrace replay shop.yaml orders --dry-run", "millrace replay shop.yaml orders --yes"} {
		args := strings.Fields(strings.ReplaceAll(command, "shop.yaml", path))
		code, stdout, stderr := invoke(t, args[0], args[1:]...)
		if code != cli.ExitOK || stdout != shown[command] {
			t.Errorf("%s: %d %s\n%s, the page shows\n%s", command, code, stderr, stdout, shown[command])
		}
	}
	if got := orderTotals(t, path); got != "1,2,3" {
		t.Errorf("at the end: %s", got)
	}
}
