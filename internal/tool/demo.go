package tool

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millrace-io/millrace/examples/earthquakes"
	"github.com/millrace-io/millrace/internal/cli"
)

// demoOptions are the flags of `millrace demo`.
type demoOptions struct {
	dataDir       string   // empty: a temporary directory
	keep          bool     // leave the temporary directory as it is
	mysql         string   // DSN; empty: SQLite
	kafka         []string // brokers; nil: embedded
	follow        bool
	noFaults      bool
	seed          uint64
	printPipeline bool
}

// newDemoCommand is `millrace demo`: everything in one process, nothing to install.
func newDemoCommand() *cobra.Command {
	o := demoOptions{seed: 1}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Mirror a recorded week of earthquakes from a local API: Kafka and database included",
		Long: `Mirror a recorded week of earthquakes from a local API: Kafka and database included.

It starts an HTTP server that answers like the earthquake catalogue of the U.S. Geological Survey, with all that real
APIs do to their callers: pages, a limit of requests, 429, 500, cut connections, and revisions of what it has served.
It runs the three stages over it, in this process, with an embedded Kafka and a SQLite file, until the table is what
the API says, and compares the two row by row.`,
		Example: `  millrace demo
  millrace demo --follow
  millrace demo --kafka localhost:9092 --mysql 'root:secret@tcp(localhost:3306)/test'
  millrace demo --print-pipeline > pipeline.yaml`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.flags(cmd.Flags())
	cmd.AddCommand(newDemoAPICommand())
	return cmd
}

func (o *demoOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.dataDir, "data-dir", "", "`directory` for the embedded servers' files; a second run continues where the first ended (default a temporary one)")
	f.BoolVar(&o.keep, "keep", false, "leave the topics in the temporary directory too, not only the table")
	f.StringVar(&o.mysql, "mysql", "", "write to this MySQL instead of SQLite: `DSN` as user:password@tcp(host:3306)/database")
	f.StringSliceVar(&o.kafka, "kafka", nil, "use these `brokers` instead of the embedded one: host:9092,...")
	f.BoolVar(&o.follow, "follow", false, "keep going, with new and revised events arriving, until Ctrl-C")
	f.BoolVar(&o.noFaults, "no-faults", false, "let the API never fail on purpose")
	f.Uint64Var(&o.seed, "seed", o.seed, "of the API's revisions and faults; the same `number` gives the same ones")
	f.BoolVar(&o.printPipeline, "print-pipeline", false, "print the pipeline file that the demonstration runs, to start your own from, and exit")
}

// run is `millrace demo`.
func (o *demoOptions) run(cmd *cobra.Command) error {
	if o.printPipeline {
		_, err := cmd.OutOrStdout().Write(earthquakes.Pipeline)
		return err
	}
	if err := runDemo(cmd.Context(), *o, cmd.OutOrStdout()); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}
