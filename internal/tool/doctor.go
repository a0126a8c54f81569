package tool

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/doctor"
)

// newDoctorCommand is `millrace doctor`.
func newDoctorCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "doctor FILE",
		Short: "Look at all that a pipeline needs before it runs, and say how to correct what is wrong",
		Long: `Look at all that a pipeline needs before it runs, and say how to correct what is wrong: the file and its secrets; of each API name,
TLS, credentials and budget, by one page of each stream; the brokers and the topics against the file; MySQL's version,
settings, rights and tables; what the user may do on the brokers; clocks and disk. It changes nothing.

Each thing that is looked at has a code that stays the same, such as MR203: ` + "`millrace explain MR203`" + ` says what it is, and
docs/reference/doctor.md lists them.

Exit codes: 0 all is well, or there are only warnings; 1 something is wrong; 2 wrong command line or pipeline file.`,
		Example: `  millrace doctor shop.yaml
  millrace doctor shop.yaml --output json | jq '.[] | select(.state != "ok")'`,
		Args:              cli.File,
		ValidArgsFunction: cli.CompleteFile,
		RunE:              func(cmd *cobra.Command, args []string) error { return examine(cmd, args[0], output) },
	}
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	return cmd
}

// examine is `millrace doctor`.
func examine(cmd *cobra.Command, path, output string) error {
	if output != "text" && output != "json" {
		return &cli.UsageError{Err: fmt.Errorf("--output: %q; it must be text or json", output)}
	}
	p, err := cli.LoadPipeline(path)
	if err != nil {
		return err
	}
	found := doctor.Run(cmd.Context(), p, path)
	write := writeFindings
	if output == "json" {
		write = func(out io.Writer, found []doctor.Finding) error { return writeJSON(out, found) }
	}
	if err := write(cmd.OutOrStdout(), found); err != nil {
		return err
	}
	wrong := 0
	for _, f := range found {
		if f.State == doctor.Fail {
			wrong++
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%s to correct", count(wrong, "thing"))
	}
	return nil
}

// writeFindings writes what the doctor has found, for people.
func writeFindings(out io.Writer, found []doctor.Finding) error {
	for _, f := range found {
		line := fmt.Sprintf("%-4s  %s: %s", f.State, f.Check, f.Text)
		if f.State != doctor.OK {
			line += " (" + string(f.Code) + ")"
		}
		if f.Fix != "" {
			line += "\n        → " + f.Fix
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}
