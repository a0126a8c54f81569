package tool

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
)

// varying is what differs from one run to the next, and what stands for it in a page.
var varying = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`has \d+ offsets?`), "has 61 offsets"},
	{regexp.MustCompile(`(?m)^(\d     \w+ +orders\w* +)\d+ +\d+ +\d+ +`), "${1}9       9   0         "},
	{regexp.MustCompile(`"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"`), `"time":"2026-11-26T03:00:00.123Z"`},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "2026-11-26T03:00:00Z"},
	{regexp.MustCompile(`\S+@\S+`), "op@host"},
	{regexp.MustCompile(`(?m)^\w+: \d+ of 1 slice complete.*\n`), ""},
	{regexp.MustCompile(`(?m)^\w+: waiting (for|until) the (processors|sinks).*\n`), ""},
	// of which it depends how many came meanwhile
	{regexp.MustCompile(`(?m)^\w+: found: .* has raw records that .*\n`), ""},
	// if processors had come so far
	{regexp.MustCompile(`(?m)^\w+: found: the positions of the group .* are past the end .*\n`), ""},
	{regexp.MustCompile(`(?m)^(\w+: found: .*: partition ).*$`), "${1}3 at 9, the log ends at 5"},
}

// TestRunbooks runs what the runbooks show, and compares; -update writes the outputs again. Comments in a page say what
// happens besides.
func TestRunbooks(t *testing.T) {
	for _, name := range []string{"starting-over", "after-a-restore", "dead-letters", "new-columns", "adding-partitions"} {
		t.Run(name, func(t *testing.T) {
			page := filepath.Join("..", "..", "docs", "runbooks", name+".md")
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			b := &book{t: t}
			var out []string
			showing := false // what a command said when the page was written
			for line := range strings.Lines(string(text)) {
				action, isAction := strings.CutPrefix(strings.TrimSpace(line), "<!-- ")
				command, isCommand := strings.CutPrefix(line, "$ millrace ")
				switch {
				case isAction:
					b.do(strings.Fields(strings.TrimSuffix(action, " -->")))
				case isCommand:
					out = append(out, line, b.run(words(command)))
					showing = true
					continue
				case strings.HasPrefix(line, "```"):
					showing = false
				}
				if !showing {
					out = append(out, line)
				}
			}
			is := strings.Join(out, "")
			if *update {
				if err := os.WriteFile(page, []byte(is), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if d := cmp.Diff(string(text), is); d != "" {
				t.Errorf("run go test ./internal/tool -run TestRunbooks -update; (-page +commands)\n%s", d)
			}
			if b.patient != nil && b.patient.run != nil {
				b.stop()
			}
		})
	}
}

// book is a page that is run.
type book struct {
	*patient

	t *testing.T
}

func (b *book) do(action []string) {
	b.t.Helper()
	var ids []int
	for _, a := range action[1:] {
		if n, err := strconv.Atoi(a); err == nil {
			ids = append(ids, n)
		}
	}
	switch action[0] {
	case "orders":
		api := newWarehouse(b.t, ids[0])
		b.patient = &patient{t: b.t, api: api, path: pipelineFile(b.t, api.URL)}
	case "orders-on-brokers":
		api, cluster := newWarehouse(b.t, ids[0]), testkafka.New(b.t)
		b.patient = &patient{t: b.t, api: api, path: pipelineFile(b.t, api.URL, "kafka: {brokers: ["+cluster.ListenAddrs()[0]+"], partitions: 6}")}
	case "start":
		b.start()
		if _, err := os.Stat(filepath.Join(filepath.Dir(b.path), "data", "backup")); err != nil {
			awaitTable(b.t, b.path, b.api.shows())
		}
	case "edit": // WAS => IS
		was, is, _ := strings.Cut(strings.Join(action[1:], " "), " => ")
		is = strings.NewReplacer(`\n`, "\n", `\x20`, " ").Replace(is)
		if is == "MAP" {
			was, is = "    sink:", "    process: [{map: {id: id, total: total / (total - 20) * (total - 20) / (total - 30) * (total - 30)}}]\n    sink:"
		}
		rewrite(b.t, b.path, was, is)
	case "letters": // so many, in the process that is started
		b.start()
		testkit.Eventually(b.t, patience, testkit.That("letters", func() bool {
			return strings.Contains(b.run([]string{"dlq", "list", "shop.yaml"}), "open   "+action[1])
		}))
	case "editor": // a sed script, in the place of a person
		b.t.Setenv("VISUAL", "sed -i '"+strings.Join(action[1:], " ")+"'")
	case "stop":
		b.stop()
	case "add":
		b.add(ids...)
	case "drop":
		b.api.drop(ids...)
	case "copy":
		b.copy(action[1], action[2])
	case "await":
		awaitTable(b.t, b.path, b.api.shows())
	case "told":
		b.told(action[1])
	case "read": // TABLE COLUMN VALUE: until there is such a row
		db, err := sql.Open("sqlite", filepath.Join(filepath.Dir(b.path), "data", "millrace.db"))
		if err != nil {
			b.t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		testkit.Eventually(b.t, patience, func() error {
			var n int
			err := db.QueryRow("SELECT COUNT(*) FROM "+action[1]+" WHERE "+action[2]+" = ?", action[3]).Scan(&n)
			if err == nil && n == 0 {
				err = fmt.Errorf("%s has no row whose %s is %s", action[1], action[2], action[3])
			}
			return err
		})
	default:
		b.t.Fatalf("nothing is known of %q", action)
	}
}

// run runs a command beside the pipeline file, and returns what it said.
func (b *book) run(args []string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env, c.Dir = append(os.Environ(), asBinary+"=millrace"), filepath.Dir(b.path)
	out, err := c.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	text := string(out)
	for _, v := range varying {
		text = v.is.ReplaceAllString(text, v.as)
	}
	return text
}

// words are those of a command; what is in double quotes is one.
func words(command string) (out []string) {
	for i, text := range strings.Split(command, `"`) {
		if i%2 == 1 {
			out = append(out, text)
		} else {
			out = append(out, strings.Fields(text)...)
		}
	}
	return out
}
