package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"github.com/millrace-io/millrace/examples/earthquakes"
	"github.com/millrace-io/millrace/internal/demo"
	"github.com/millrace-io/millrace/internal/demo/quakeapi"
	"github.com/millrace-io/millrace/internal/process"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
)

// started is as near to the start of the process as Go code gets.
var started = time.Now()

// demoRun is one demonstration.
type demoRun struct {
	demoOptions
	out io.Writer

	pipeline  *pipeline.Pipeline
	temporary bool // the data directory is for this run alone
	api       *quakeapi.Server
	apiURL    string
	table     demoDatabase
	log       *demo.Log
}

// runDemo runs the demonstration until it has caught up, or ctx is cancelled. Its report goes to out.
func runDemo(ctx context.Context, o demoOptions, out io.Writer) (err error) {
	d := &demoRun{demoOptions: o, out: out}
	dir, temporary, err := demoDataDir(o)
	if err != nil {
		return err
	}
	d.temporary = temporary
	defer func() {
		switch {
		case !temporary || o.keep:
		case err == nil:
			err = d.tidy(dir)
		default:
			_ = os.Remove(dir) // only if it is empty: else the log is worth reading
		}
	}()
	if d.pipeline, err = file.Parse("pipeline.yaml", earthquakes.Pipeline, os.LookupEnv); err != nil {
		return err
	}
	api, url, stopAPI, err := startDemoAPI(ctx, o)
	if err != nil {
		return err
	}
	defer stopAPI()
	d.api, d.apiURL = api, url
	if err := pointDemo(d.pipeline, o, url, dir); err != nil {
		return err
	}
	logFile, err := os.OpenFile(filepath.Join(dir, "demo.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = logFile.Close() }()
	d.log = demo.NewLog(logFile)
	if d.table, err = openDemoDatabase(d.pipeline); err != nil {
		return err
	}
	defer func() { _ = d.table.DB.Close() }()
	return d.run(ctx)
}

// run starts Kafka and the stages, shows them until the end, and reports.
func (d *demoRun) run(ctx context.Context) error {
	x, err := process.New(ctx, d.pipeline, process.Options{Stages: process.All, Drain: demoDrain, Log: d.log.Logger()})
	if err != nil {
		return err
	}
	// The stages, and with them an embedded Kafka, stay until the dead letters have been read.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1) // one send, so that it never waits
	go func() { ended <- x.Run(running) }()

	w, err := d.newWatch(x, ended)
	if err == nil {
		err = w.run(ctx)
	}
	var report demo.Report
	if err == nil && len(ended) == 0 {
		report, err = w.report(ctx)
	}
	stop()
	if err = errors.Join(err, w.stagesError()); err != nil {
		return fmt.Errorf("%w\n  the log is %s", err, d.log.Name())
	}
	return w.print(report)
}

// demoDrain is how long the stages may take to finish what they have in hand.
const demoDrain = 10 * time.Second

// header says what is about to run, and where to look at it.
func (d *demoRun) header() demo.Header {
	h := demo.Header{
		API: d.apiURL + "/fdsnws/event/1/query?format=geojson&limit=1", Brokers: d.pipeline.Kafka.Brokers, Kafka: "Apache Kafka",
		Look: d.lookTopic(), Table: d.table.where, Stop: "It ends when the table is what the API says.",
	}
	if d.pipeline.Kafka.Embedded {
		h.Kafka = "embedded"
	}
	if d.follow {
		h.Stop = "It continues until Ctrl-C."
	}
	return h
}

// tidy removes what a temporary directory holds, but for the table: the report says how to look at it.
func (d *demoRun) tidy(dir string) error {
	if d.table.file == "" {
		return os.RemoveAll(dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); path != d.table.file {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	if _, statErr := os.Stat(d.table.file); statErr != nil { // nothing was written
		err = errors.Join(err, os.Remove(dir))
	}
	return err
}

// terminal returns the screen to draw on, or nil, and the width of texts.
func (d *demoRun) terminal() (screen *demo.Screen, width int) {
	f, ok := d.out.(*os.File)
	if !ok {
		return nil, 100
	}
	if w, _, err := term.GetSize(int(f.Fd())); err == nil {
		return demo.NewScreen(f), w
	}
	return demo.NewScreen(f), 100
}
