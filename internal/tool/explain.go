package tool

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/doctor"
	"github.com/millrace-io/millrace/pipeline/file"
)

// newExplainCommand is `millrace explain`.
func newExplainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [KEY]",
		Short: "Say what a key of the pipeline file is, its default, and an example",
		Long: `Say what a key of the pipeline file is, its default, the keys below it, and an example.

A key is named by its path, with dots: streams.orders.ingest.paginate, where a stream may have any name; or from within
a stream: ingest.paginate, or only paginate. Without KEY it lists the keys at the top of the file. A code that millrace doctor
prints, such as MR203, is explained, too.`,
		Example: `  millrace explain streams.orders.ingest.paginate
  millrace explain incremental.lookback
  millrace explain MR203
  millrace explain`,
		Args: cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completeKeys(typed), cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if text, is := doctor.Explain(strings.Join(args, "")); is {
				_, err := io.WriteString(cmd.OutOrStdout(), text)
				return err
			}
			k, err := file.Explain(strings.Join(args, ""))
			if err != nil {
				return &cli.UsageError{Err: err}
			}
			return writeKey(cmd.OutOrStdout(), k)
		},
	}
}

// completeKeys completes a path by one name. Names of the user's that are typed already stay as they are.
func completeKeys(typed string) []string {
	names := strings.Split(typed, ".")
	before := strings.Join(names[:len(names)-1], ".")
	k, err := file.Explain(before)
	if err != nil {
		return nil
	}
	prefix := before + "."
	if before == "" {
		prefix = ""
	}
	var out []string
	for _, sub := range k.Keys {
		if strings.HasPrefix(sub.Name, names[len(names)-1]) {
			out = append(out, cobra.CompletionWithDesc(prefix+sub.Name, sentence(sub.Doc)))
		}
	}
	return out
}

func writeKey(out io.Writer, k *file.Key) error {
	var b strings.Builder
	if k.Path != "" {
		fmt.Fprintf(&b, "%s: %s\n\n", k.Path, k.Kind)
	}
	fmt.Fprintf(&b, "  %s\n\n", strings.Join(fold(k.Doc, 100), "\n  "))
	for _, fact := range [][2]string{{"default", k.Default}, {"range", k.Bounds}} {
		if fact[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", fact[0], fact[1])
		}
	}
	if k.Required {
		b.WriteString("required\n")
	}
	if len(k.OneOf) > 0 {
		fmt.Fprintf(&b, "exactly one of: %s\n", strings.Join(k.OneOf, ", "))
	}
	if _, err := io.WriteString(out, strings.TrimSuffix(b.String(), "\n\n")+"\n"); err != nil {
		return err
	}
	if len(k.Keys) > 0 {
		if err := writeKeys(out, k.Keys); err != nil {
			return err
		}
	}
	if k.Example == "" {
		return nil
	}
	_, err := fmt.Fprintf(out, "\nexample:\n  %s\n", strings.ReplaceAll(k.Example, "\n", "\n  "))
	return err
}

// writeKeys lists the keys below one.
func writeKeys(out io.Writer, keys []file.SubKey) error {
	if _, err := fmt.Fprintln(out, "\nkeys:"); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, sub := range keys {
		name := sub.Name
		if sub.Required {
			name += " *"
		}
		if _, err := fmt.Fprintf(w, "  %s\t%s\n", name, sentence(sub.Doc)); err != nil {
			return err
		}
	}
	return w.Flush()
}

// sentence is the first of a text, in short.
func sentence(text string) string {
	first, _, _ := strings.Cut(text, "; ")
	first, _, _ = strings.Cut(first, ". ")
	return strings.TrimSuffix(first, ".")
}

// fold breaks a text into lines.
func fold(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
