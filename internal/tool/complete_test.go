package tool

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// completed is what a shell is told for a command line, the last word of which is being typed.
func completed(t *testing.T, args ...string) string {
	t.Helper()
	root := newRootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs(append([]string{cobra.ShellCompRequestCmd}, args...))
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return out.String()
}

// TestEveryCommandCompletes: FILE is a YAML file, STREAM one of its streams, whatever the command; and nothing else is
// a file.
func TestEveryCommandCompletes(t *testing.T) {
	path := writeFile(t, "shop.yaml", `pipeline: shop
http: {base_url: https://api.example.com, auth: {bearer: "${NOT_SET_ANYWHERE}"}}
streams:
  orders: {ingest: {path: /orders, key: id}, sink: {columns: {id: bigint key}}}
  customers: {ingest: {path: /customers, key: id}, sink: {columns: {id: bigint key}}}
`)
	const files, nothing = ":8\n", ":4\n" // cobra's directives: these extensions; no file names
	walk(newRootCommand(), func(c *cobra.Command) {
		if !c.Runnable() || c.HasSubCommands() && c.Parent() == nil {
			return
		}
		name := strings.Fields(c.CommandPath())[1:]
		first := completed(t, append(name, "")...)
		switch {
		case strings.Contains(c.Use, "FILE") && c.Name() != "init":
			if !strings.Contains(first, "yaml\nyml\n") || !strings.HasSuffix(strings.TrimSpace(first)+"\n", files) {
				t.Errorf("%s: FILE is completed by %q", c.CommandPath(), first)
			}
		case c.Name() != "explain" && !strings.HasSuffix(strings.TrimSpace(first)+"\n", nothing):
			t.Errorf("%s: without FILE there is %q", c.CommandPath(), first)
		}
		if !strings.Contains(c.Use, "STREAM") {
			return
		}
		if got := completed(t, append(name, path, "")...); !strings.HasPrefix(got, "orders\ncustomers\n") {
			t.Errorf("%s: STREAM is completed by %q", c.CommandPath(), got)
		}
		got := completed(t, append(name, path, "orders", "")...)
		if several := strings.Contains(c.Use, "STREAM..."); several != strings.HasPrefix(got, "customers\n") {
			t.Errorf("%s: after a stream comes %q", c.CommandPath(), got)
		}
	})
	for want, args := range map[string][]string{
		"orders,customers\n":                {"run", path, "--streams", "orders,c"},
		"ingest\nprocessor\nsink\n":         {"pause", path, "orders", "--stage", ""},
		"raw\nprocessed\ndlq\n":             {"topics", "tail", path, "orders", ""},
		"streams.orders.ingest.incremental": {"explain", "streams.orders.ingest.inc"},
	} {
		if got := completed(t, args...); !strings.HasPrefix(got, want) {
			t.Errorf("%v: %q, want %q", args, got, want)
		}
	}
}
