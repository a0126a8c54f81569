package tool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace-io/millrace/internal/demo"
	"github.com/millrace-io/millrace/topics"
)

// errDiffers ends a demonstration whose table is not what the API says: a defect, which CI should see.
var errDiffers = errors.New("the table differs from what the API says")

// report collects what there is to say, while the stages and Kafka still run. ctx may be cancelled already: whoever
// stops the demonstration wants to read it too.
func (w *demoWatch) report(ctx context.Context) (demo.Report, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	state, caughtUp := w.now()
	r := demo.Report{
		At: state.At, FirstRow: state.FirstRow, Database: w.table.kind, TableName: w.table.Name, LookTable: w.table.look,
		LetterLog: topics.DeadLetters(w.pipeline.Name, w.pipeline.Streams[0].Name), Next: w.next(),
	}
	if !w.pipeline.Kafka.Embedded {
		r.LookTopic = w.lookTopic()
	}
	if w.temporary && !w.keep && w.table.file != "" {
		r.Kept = "The table stays there; the topics are gone with the process, unless --keep."
	}
	var tableErr, compareErr, lettersErr error
	r.Strongest, r.Rows, tableErr = w.table.Strongest(ctx, 5)
	if caughtUp {
		var compared demo.Difference
		compared, compareErr = w.table.Compare(ctx, w.api.Rows())
		r.Compared = &compared
	}
	r.Letters, lettersErr = demo.Letters(ctx, w.kafka, r.LetterLog)
	if !caughtUp { // stopped before there was a table, or a topic
		return r, nil
	}
	return r, errors.Join(tableErr, compareErr, lettersErr)
}

// print writes the report, with the counts as they are after the drain.
func (w *demoWatch) print(r demo.Report) error {
	var err error
	if r.Counts, err = demo.Read(w.stages.Metrics); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w.out); err != nil {
		return err
	}
	_, width := w.terminal()
	if err := r.Write(w.out, width); err != nil {
		return err
	}
	if r.Compared != nil && !r.Compared.Mirrors() {
		return errDiffers
	}
	return nil
}

func (d *demoRun) lookTopic() string {
	return fmt.Sprintf("kcat -C -e -b %s -t %s", strings.Join(d.pipeline.Kafka.Brokers, ","),
		topics.Processed(d.pipeline.Name, d.pipeline.Streams[0].Name))
}

// next is what to try after this.
func (d *demoRun) next() []string {
	program := programName(os.Args[0])
	next := []string{
		program + " demo --print-pipeline > pipeline.yaml",
		program + " demo api    # and in another terminal:  " + program + " run pipeline.yaml",
	}
	if !d.follow {
		next = append([]string{program + " demo --follow"}, next...)
	}
	return next
}

// programName is how the program that was called so can be called again: go run removes what it has built.
func programName(called string) string {
	if strings.Contains(called, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/millrace"
	}
	return called
}
