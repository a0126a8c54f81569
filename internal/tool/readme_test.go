package tool

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkit"
)

// logTime is what begins a line of the log.
var logTime = regexp.MustCompile(`(?m)^time=\S+ `)

// TestLogicWasWrongOfREADME runs the commands of README.md's section on the file that it shows: they print what the
// page shows, and what a wrong type has refused is in the table at the end. -update writes the outputs again.
func TestLogicWasWrongOfREADME(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`[{"id": 1, "coupon": null}, {"id": 2, "coupon": "SPRING"}, {"id": 3, "coupon": null}]`))
	}))
	t.Cleanup(api.Close)
	const page = "../../README.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, section, _ := strings.Cut(string(text), "## The logic was wrong\n")
	_, yaml, _ := strings.Cut(section, "```yaml\n")
	yaml, rest, _ := strings.Cut(yaml, "```")
	between, console, _ := strings.Cut(rest, "```console\n")
	shown, after, found := strings.Cut(console, "```")
	if !found {
		t.Fatal("README.md shows no commands")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "shop.yaml"), []byte(strings.Replace(yaml, "https://api.example.com", api.URL, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	began, commands := time.Now(), 0
	var is strings.Builder
	for line := range strings.Lines(shown) {
		if command, isCommand := strings.CutPrefix(line, "$ "); isCommand {
			commands++
			is.WriteString(line + shell(t, dir, command))
		}
	}
	t.Logf("%d commands: %s", commands, time.Since(began).Round(time.Millisecond))
	if commands != 4 {
		t.Errorf("%d commands, want 4", commands)
	}
	if got := coupons(t, filepath.Join(dir, ".millrace", "shop", "millrace.db")); got != "none,SPRING,none" {
		t.Errorf("in the table: %s", got)
	}
	if *update {
		head, _, _ := strings.Cut(section, "```yaml\n")
		whole := before + "## The logic was wrong\n" + head + "```yaml\n" + yaml + "```" + between + "```console\n" + is.String() + "```" + after
		if err := os.WriteFile(page, []byte(whole), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(shown, is.String()); d != "" {
		t.Errorf("run go test ./internal/tool -run README -update; (-page +commands)\n%s", d)
	}
}

// shell runs a command line of a page, and returns what a terminal would show, without the time.
func shell(t *testing.T, dir, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	bin := t.TempDir()
	if err := os.Symlink(must(t, os.Executable), filepath.Join(bin, "millrace")); err != nil {
		t.Fatal(err)
	}
	command = strings.ReplaceAll(command, " --once", " --once --listen 127.0.0.1:0")
	if strings.Contains(command, "--log-level") {
		command = strings.TrimSpace(command) + " --log-format text" // as on a terminal
	}
	c := exec.CommandContext(ctx, "sh", "-c", command)
	c.Dir = dir
	c.Env = append(os.Environ(), asBinary+"=millrace", "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	var out testkit.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out.String())
	}
	return logTime.ReplaceAllString(out.String(), "")
}

func must[T any](t *testing.T, f func() (T, error)) T {
	t.Helper()
	v, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// coupons are those in the table, in the order of ids.
func coupons(t *testing.T, path string) (all string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(t.Context(), "SELECT group_concat(COALESCE(coupon, 'none')) FROM (SELECT coupon FROM orders ORDER BY id)").Scan(&all); err != nil {
		t.Fatal(err)
	}
	return all
}
