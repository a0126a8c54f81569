package tool

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/casebook"
	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/pipeline/file"
)

// testFlags are those of `millrace test`.
type testFlags struct {
	tests  string
	junit  string
	run    string
	update bool
}

const aboutTest = `Run the tests of a pipeline file: recorded answers or records in, rows and dead letters out. Nothing is contacted, and
references need not resolve.

The tests of shop.yaml stand in shop.test.yaml beside it:

  tests:
    - name: the first pass
      stream: orders
      cassette: testdata/orders          # what millrace record wrote
      rows:                              # of the table, by its key; of these columns
        - {order_id: 1, total: 12.34}
      letters:                           # none, if this is left out
        - {key: 7, step: "process[1].map.total"}
    - name: a draft has no row
      records: [{id: 2, status: draft}]
      rows: []

With --update what comes out becomes what is expected; look at it before it is committed. It exits with 1 if a test fails.`

// newTestCommand is `millrace test`.
func newTestCommand() *cobra.Command {
	f := &testFlags{}
	cmd := &cobra.Command{
		Use:   "test FILE",
		Short: "Run the tests of a pipeline file: recorded answers or records in, rows and dead letters out",
		Long:  aboutTest,
		Example: `  millrace test shop.yaml
  millrace test shop.yaml --update && git diff shop.test.yaml
  millrace test shop.yaml --junit report.xml`,
		Args:              cli.File,
		ValidArgsFunction: cli.CompleteFile,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.runAll(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.tests, "tests", "", "`file` with the tests (default FILE with .test before its extension)")
	flags.StringVar(&f.junit, "junit", "", "write the results to this `file`, as JUnit XML")
	flags.StringVar(&f.run, "run", "", "run only the test of this `name`")
	flags.BoolVar(&f.update, "update", false, "make what comes out what is expected")
	return cmd
}

func (f *testFlags) runAll(cmd *cobra.Command, name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return &cli.FileError{Path: name, Err: err}
	}
	path := f.tests
	if path == "" {
		path = casebook.Default(name)
	}
	book, err := casebook.Read(path)
	if err != nil {
		return &cli.UsageError{Err: err}
	}
	var results []*casebook.Result
	failed := 0
	for _, c := range book.Cases {
		if f.run != "" && c.Name != f.run {
			continue
		}
		r, err := f.runOne(cmd, name, data, book, c)
		if err != nil {
			return err
		}
		results = append(results, r)
		if len(r.Failures) > 0 {
			failed++
		}
	}
	if err := f.junitFile(name, book, results); err != nil {
		return err
	}
	switch {
	case len(results) == 0:
		return &cli.UsageError{Err: fmt.Errorf("%s has no test %q", path, f.run)}
	case f.update:
		return book.Write()
	case failed > 0:
		return fmt.Errorf("%d of %s failed", failed, count(len(results), "test"))
	}
	return nil
}

// runOne runs a test of a pipeline file, which has that name and content, and writes what came out.
func (f *testFlags) runOne(cmd *cobra.Command, name string, data []byte, book *casebook.Book, c *casebook.Case) (*casebook.Result, error) {
	got, err := file.InspectBytes(name, data, os.LookupEnv, true) // a test may change what it is given
	if err != nil {
		return nil, &cli.FileError{Path: name, Err: err}
	}
	r := book.Run(cmd.Context(), got.Pipeline, c)
	if f.update {
		if err := r.Update(); err != nil {
			return nil, err
		}
	}
	return r, writeResult(cmd.OutOrStdout(), name, data, book, r)
}

func (f *testFlags) junitFile(name string, book *casebook.Book, results []*casebook.Result) error {
	if f.junit == "" {
		return nil
	}
	out, err := os.Create(f.junit)
	if err != nil {
		return err
	}
	if err := casebook.WriteJUnit(out, name, book, results); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

func writeResult(out io.Writer, name string, data []byte, book *casebook.Book, r *casebook.Result) error {
	verdict := "ok  "
	if len(r.Failures) > 0 {
		verdict = "FAIL"
	}
	if _, err := fmt.Fprintf(out, "%s %s (%s:%d)\n", verdict, r.Case.Name, book.Path, r.Case.Line); err != nil {
		return err
	}
	for _, x := range r.Failures {
		place := ""
		if x.Step != "" {
			line, column := file.Place(data, x.Step)
			place = fmt.Sprintf(" (%s:%d:%d)", name, line, column)
		}
		if _, err := fmt.Fprintf(out, "  %s%s\n%s", x.What, place, x.Diff); err != nil {
			return err
		}
	}
	return nil
}
