package tool

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
)

// onRealServers are examples that need what an embedded server cannot be, and the test that runs each.
var onRealServers = map[string]string{
	"millrace demo --kafka localhost:9092 --mysql 'root:secret@tcp(localhost:3306)/test'": "TestExamplesOnRealServers",
}

// programs are the commands of the tool, and the binaries of one stage.
func programs() (all []*cobra.Command) {
	walk(newRootCommand(), func(c *cobra.Command) { all = append(all, c) })
	for _, stage := range []string{"ingest", "processor", "sink"} {
		all = append(all, cli.RunCommand(stage, stage, "short", stage))
	}
	return all
}

// examplesOf are the command lines of a command's examples, without what is told about them.
func examplesOf(c *cobra.Command) (all []string) {
	for line := range strings.Lines(c.Example) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "   ")
		if line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

// TestEveryCommandHasAnExample: `--help` shows how a command is called.
func TestEveryCommandHasAnExample(t *testing.T) {
	for _, c := range programs() {
		if c.Short == "" {
			t.Errorf("%s: no line says what it is", c.CommandPath())
		}
		if !slices.ContainsFunc(examplesOf(c), func(line string) bool { return strings.HasPrefix(line+" ", c.CommandPath()+" ") }) {
			t.Errorf("%[1]s: --help shows no call of it: give its cobra.Command an Example with a line that begins with %[1]q. "+
				"TestEveryExampleRuns runs that line in the directory of example_scenes_test.go", c.CommandPath())
		}
	}
}

// TestVerbsAreAlike: commands on a pipeline's data say their exit codes, and have --output, unless they write NDJSON
// and nothing else.
func TestVerbsAreAlike(t *testing.T) {
	ndjson := []string{"millrace dlq show", "millrace dlq export"}
	checked := 0
	for _, c := range programs() {
		path := c.CommandPath()
		verb := strings.Fields(path + " -")[1]
		if path == "millrace dlq" || !slices.Contains([]string{"replay", "dlq", "topics", "reset", "recover", "pause", "resume", "status"}, verb) {
			continue
		}
		checked++
		if !strings.Contains(c.Long, "Exit codes: 0 ") {
			t.Errorf("%s --help does not say its exit codes", path)
		}
		if f := c.Flags().Lookup("output"); (f == nil) != slices.Contains(ndjson, path) || f != nil && f.DefValue != "table" {
			t.Errorf("%s: --output is %+v, want table or json", path, f)
		}
	}
	if checked < 25 {
		t.Errorf("only %d commands were found", checked)
	}
}

// TestEveryExampleRuns: every line that a `--help` shows as an example works as it stands, in a directory that has the
// files which it names. Only the addresses differ: api.example.com is an API of the test, and ports are free ones.
func TestEveryExampleRuns(t *testing.T) {
	scenes := newScenes(t)
	ran := map[string]bool{}
	for _, c := range programs() {
		for _, line := range examplesOf(c) {
			if ran[line] || onRealServers[line] != "" {
				continue
			}
			ran[line] = true
			t.Run(line, func(t *testing.T) {
				t.Parallel()
				if err := scenes.play(t, line); err != nil {
					t.Errorf("an example of `%s --help` does not run:\n  %s\n%v\nchange the example until it runs, or add what it needs to example_scenes_test.go",
						c.CommandPath(), line, err)
				}
			})
		}
	}
	t.Logf("%d lines", len(ran))
	if len(ran) < 100 {
		t.Errorf("only %d examples were found", len(ran))
	}
}
