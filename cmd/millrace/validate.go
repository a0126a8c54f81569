package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/pipeline/file"
)

// newValidateCommand is `millrace validate`: nothing is contacted.
func newValidateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE...",
		Short: "Say all that is wrong with pipeline files, with line, column and a hint",
		Example: `  millrace validate shop.yaml
  millrace validate pipelines/*.yaml && docker compose up -d`,
		Args: cli.Args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			var bad []error
			for _, name := range files {
				p, err := cli.LoadPipeline(name)
				if err != nil {
					bad = append(bad, err)
					continue
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, ok\n", name, count(len(p.Streams), "stream")); err != nil {
					return err
				}
			}
			return errors.Join(bad...)
		},
	}
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
