package tool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkit"
)

// TestDemo runs the demonstration as a pipe sees it, and a second time in the same directory.
func TestDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	o := demoOptions{dataDir: t.TempDir(), seed: 1}
	var out bytes.Buffer
	if err := runDemo(ctx, o, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"every row and every value: equal.",
		"first row was in SQLite after",
		"4 dead letters in earthquakes.events.dlq",
		"refused by the processor at process[1].map.magnitude:",
		"sqlite3 -box " + o.dataDir,
		" demo --follow",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.ContainsAny(out.String(), "\x1b\r") {
		t.Error("control codes in a pipe")
	}
	if n := strings.Count(out.String(), " s  ingest "); n < 3 {
		t.Errorf("%d lines while it ran", n)
	}
	if t.Failed() {
		t.Log(out.String())
	}

	out.Reset()
	if err := runDemo(ctx, o, &out); err != nil {
		t.Fatalf("again: %v\n%s", err, out.String())
	}
	for _, want := range []string{"every row and every value: equal.", "4 dead letters"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("again: no %q\n%s", want, out.String())
		}
	}
	records := regexp.MustCompile(`→ ([\d,]+) records?`).FindStringSubmatch(out.String())
	if records == nil {
		t.Fatalf("again: nothing about records:\n%s", out.String())
	}
	if n, err := strconv.Atoi(records[1]); err != nil || n > 100 {
		t.Errorf("the second run fetched %s records: it did not continue where the first ended", records[1])
	}
}

// TestDemoFollows: it goes on after the API's first round, ends when it is told to, and leaves the table.
func TestDemoFollows(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out := &tail{}
	out.until = func(text string) bool { return strings.Contains(text, " deleted") }
	out.then = cancel
	o := demoOptions{seed: 3, follow: true, noFaults: true}
	if err := runDemo(ctx, o, out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	kept := regexp.MustCompile(`sqlite3 -box (\S+) `).FindStringSubmatch(out.String())
	if kept == nil {
		t.Fatalf("nothing about the table:\n%s", out.String())
	}
	if _, err := os.Stat(kept[1]); err != nil {
		t.Error(err)
	}
	dir := strings.TrimSuffix(kept[1], "/millrace.db")
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left in the temporary directory: %v %v", left, err)
	}
	if !strings.Contains(out.String(), "It continues until Ctrl-C.") {
		t.Errorf("does not say how it ends:\n%s", out.String())
	}
}

// tail is an output that calls then once its text is as until wants it.
type tail struct {
	testkit.Buffer

	until func(string) bool
	then  func()
}

func (o *tail) Write(p []byte) (int, error) {
	n, err := o.Buffer.Write(p)
	if o.until(o.String()) {
		o.then()
	}
	return n, err
}

func TestDemoRefusesAMalformedDSN(t *testing.T) {
	for _, dsn := range []string{
		"mysql://root:hush@localhost:3306/test", "root:hush@localhost:3306/test", "root:hush@tcp(localhost:3306)/", "root:hush@tcp(localhost", "hush",
	} {
		err := runDemo(t.Context(), demoOptions{mysql: dsn, dataDir: t.TempDir()}, io.Discard)
		var usage *cli.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), "user:password@tcp(host:3306)/database") {
			t.Errorf("%s: %v", dsn, err)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestDemoPrintsItsPipeline(t *testing.T) {
	want, err := os.ReadFile("../../examples/earthquakes/pipeline.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := newDemoCommand()
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--print-pipeline"})
	if err := cmd.ExecuteContext(t.Context()); err != nil || !bytes.Equal(out.Bytes(), want) {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestDemoAPI starts `millrace demo api` on a free port and stops it.
func TestDemoAPI(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	address := make(chan string, 1)
	out := &tail{then: func() {}}
	out.until = func(text string) bool {
		if m := regexp.MustCompile(`http://([^/]+)/`).FindStringSubmatch(text); m != nil {
			select {
			case address <- m[1]:
			default:
			}
		}
		return false
	}
	cmd := newDemoCommand()
	cmd.SetOut(out)
	cmd.SetArgs([]string{"api", "--listen", "127.0.0.1:0", "--no-faults"})
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	var base string
	select {
	case base = <-address:
	case err := <-ended:
		t.Fatal(err)
	}
	for _, path := range []string{"/healthz", "/truth?rows=true", "/fdsnws/event/1/query?format=geojson&limit=1"} {
		r, err := http.Get("http://" + base + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("stopped: %v", err)
	}
}
