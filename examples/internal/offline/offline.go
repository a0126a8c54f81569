// Package offline runs an example's pipeline in its test: on embedded servers, against recorded answers.
package offline

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/demo"
	"github.com/millrace-io/millrace/internal/process"
	"github.com/millrace-io/millrace/pipeline"
)

// Run starts the three stages of p in a data directory of the test's own. They are drained when the test ends, and
// then must not have failed. The database is open for reading; the sink makes its tables.
func Run(t *testing.T, p *pipeline.Pipeline) (*process.Process, *sql.DB) {
	t.Helper()
	p.DataDir = t.TempDir()
	x, err := process.New(t.Context(), p, process.Options{Stages: process.All, Drain: 10 * time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(filepath.Join(p.DataDir, "millrace.db"))+"?mode=rw&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return x, db
}

// Await calls what until it returns "", and fails the test with what it returned last after a minute.
func Await(t *testing.T, what func() (missing string)) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		missing := what()
		if missing == "" {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal(missing)
		}
	}
}

// Counts is what the stages have done.
func Counts(t *testing.T, x *process.Process) demo.Counts {
	t.Helper()
	counts, err := demo.Read(x.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}
