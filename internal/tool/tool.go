// Package tool is the commands of millrace.
package tool

import (
	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/process"
)

// Main runs the command that the arguments of the process name, and returns its exit code: see [cli.Main].
func Main() int { return cli.Main(newRootCommand()) }

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "millrace",
		Short: "Keep data from HTTP APIs flowing, transformed, into MySQL",
		Long: `Keep data from HTTP APIs flowing, transformed, into MySQL: continuously and exactly once.

A pipeline is one YAML file. ingest fetches from HTTP APIs into raw topics, processor runs the file's steps over them
into processed topics, sink writes those to MySQL. Run all three in one process, or any number of each.`,
		Example: `  millrace demo                   everything in one process, nothing to install
  millrace validate shop.yaml     all that is wrong with a pipeline file, at once
  millrace run shop.yaml          the three stages in one process
  millrace ingest shop.yaml       one stage alone; likewise processor and sink`,
		Version: cli.Version(),
	}
	root.AddCommand(
		newDemoCommand(),
		cli.RunCommand("millrace run", "run", "Run the three stages in one process", process.All...),
		cli.RunCommand("millrace ingest", "ingest", "Fetch from HTTP APIs into the raw topics", process.Ingest),
		cli.RunCommand("millrace processor", "processor", "Run the steps over the raw topics, into the processed topics", process.Processor),
		cli.RunCommand("millrace sink", "sink", "Write the processed topics to MySQL", process.Sink),
		newValidateCommand(),
		newSchemaCommand(),
		newExplainCommand(),
		newInitCommand(),
		newPreviewCommand(),
		newTryCommand(),
		newRecordCommand(),
		newTestCommand(),
		newDoctorCommand(),
		newTopicsCommand(),
		newDLQCommand(),
		newReplayCommand(),
		newStatusCommand(),
		newPauseCommand(),
		newResumeCommand(),
		newResetCommand(),
		newDeletesCommand(),
		newRecoverCommand(),
		newHealthcheckCommand(),
		cli.VersionCommand(),
	)
	cli.Complete(root)
	return root
}
