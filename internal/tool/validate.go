package tool

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
)

// validateFlags are those of `millrace validate`.
type validateFlags struct{ offline, plan bool }

// newValidateCommand is `millrace validate`: nothing is contacted.
func newValidateCommand() *cobra.Command {
	f := &validateFlags{}
	cmd := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Say all that is wrong with pipeline files, with line, column and a hint",
		Long: `Say all that is wrong with pipeline files, with line, column and a hint. Nothing is contacted.

What is allowed and probably not meant is a warning, on stderr, and does not change the exit code.

With --offline the environment need not have what ${NAME} and ${file:PATH} refer to, as in a build or an editor: a value
with such a reference is checked as far as it can be, and the references that do not resolve are listed.

With --plan it prints what the file stands for: topics with their settings, and tables with the statements that make
them, which is how the stages make them when they are missing.`,
		Example: `  millrace validate shop.yaml
  millrace validate --offline --plan shop.yaml
  millrace validate pipelines/*.yaml && docker compose up -d`,
		Args:              cli.Args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: cli.CompleteFile,
		RunE:              f.run,
	}
	cmd.Flags().BoolVar(&f.offline, "offline", false, "references need not resolve: secrets need not be set")
	cmd.Flags().BoolVar(&f.plan, "plan", false, "print topics, tables and the statements that make them")
	return cmd
}

// run is `millrace validate`.
func (f *validateFlags) run(cmd *cobra.Command, files []string) error {
	var bad []error
	for _, name := range files {
		got, err := file.Inspect(name, f.offline)
		if err != nil {
			bad = append(bad, &cli.FileError{Path: name, Err: err})
			continue
		}
		for _, w := range got.Warnings {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), w.Warning())
		}
		if err := f.report(cmd.OutOrStdout(), name, got); err != nil {
			return err
		}
	}
	return errors.Join(bad...)
}

func (f *validateFlags) report(out io.Writer, name string, got *file.Inspection) error {
	line := fmt.Sprintf("%s: %s, ok", name, count(len(got.Pipeline.Streams), "stream"))
	if len(got.Unset) > 0 {
		line += "; not set here: " + strings.Join(got.Unset, ", ")
	}
	if _, err := fmt.Fprintln(out, line); err != nil {
		return err
	}
	if !f.plan {
		return nil
	}
	return writePlan(out, got.Pipeline)
}

// writePlan prints the topics and tables of a pipeline.
func writePlan(out io.Writer, p *pipeline.Pipeline) error {
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	specs := topics.Specs(p)
	if err := writeTopics(out, specs, func(topics.Spec) string { return "planned" }); err != nil {
		return err
	}
	own, tables := sink.DDL(p)
	var b strings.Builder
	for i, ddl := range tables {
		fmt.Fprintf(&b, "\n-- stream %s\n%s;\n", p.Streams[i].Name, ddl)
	}
	fmt.Fprintf(&b, "\n-- millrace's own\n%s;\n", strings.Join(own, ";\n"))
	_, err := io.WriteString(out, b.String())
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// newSchemaCommand is `millrace schema`.
func newSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the pipeline file, for editors",
		Long: `Print the JSON Schema of the pipeline file, for editors: they then complete keys, show what a key is, and mark what is
wrong while it is typed. An editor with the YAML language server takes it from the first line of a pipeline file; the schema
of this version is docs/reference/pipeline.schema.json.`,
		Example: `  millrace schema > millrace.schema.json
  # then, as the first line of a pipeline file:
  # yaml-language-server: $schema=millrace.schema.json`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			schema, err := file.Schema()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(append(schema, '\n'))
			return err
		},
	}
}
