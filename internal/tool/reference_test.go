package tool

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/reference/cli.md again")

const referencePage = "../../docs/reference/cli.md"

const referenceHead = `# Commands

<!-- Written by go test ./internal/tool -run TestReference -update: change the commands, not this page. -->

` + "`bin/ingest`, `bin/processor` and `bin/sink` are the same as `millrace ingest`, `millrace processor` and `millrace sink`" + `, for
deployments that run one of them.

| exit code | means |
|---|---|
| 0 | done, or drained after SIGTERM or SIGINT |
| 1 | something that needs an operator; the last line on stderr says what |
| 2 | the command line or the pipeline file is wrong, or asks for what cannot be; nothing was started |
| killed by SIGINT or SIGTERM (a shell says 130 or 143) | a second signal; nothing that was committed is lost |

Environment: ` + "`MILLRACE_INSTANCE`" + ` is the default of ` + "`--instance`" + `; ` + "`${NAME}`" + ` in a pipeline file takes NAME.
`

// docs/reference/cli.md is what the commands say of themselves.
func TestReference(t *testing.T) {
	var b strings.Builder
	b.WriteString(referenceHead)
	walk(newRootCommand(), func(c *cobra.Command) { describe(&b, c) })
	if *update {
		if err := os.WriteFile(referencePage, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(page), b.String()); d != "" {
		t.Errorf("run go test ./internal/tool -run TestReference -update; (-page +commands)\n%s", d)
	}
}

func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		walk(sub, visit)
	}
}

func describe(b *strings.Builder, c *cobra.Command) {
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n", c.CommandPath(), strings.ReplaceAll(text, "\n  ", "\n      "))
	if c.Runnable() {
		fmt.Fprintf(b, "    %s\n\n", c.UseLine())
	}
	fmt.Fprintf(b, "```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
	var rows []string
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Name == "version" {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := strings.TrimSpace("--" + f.Name + " " + kind)
		if !slices.Contains([]string{"", "[]", "false", "0"}, f.DefValue) { // as --help shows them
			usage += " (default " + f.DefValue + ")"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s |\n", name, strings.ReplaceAll(usage, "|", `\|`)))
	})
	if len(rows) > 0 {
		fmt.Fprintf(b, "\n| flag | |\n|---|---|\n%s", strings.Join(rows, ""))
	}
}
