package tool

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkit"
)

// asBinary makes the test binary one of ours: "millrace", the name of a stage, or "stubborn", which does not drain. Or
// what examples call beside them.
const asBinary = "MILLRACE_TEST_AS_BINARY"

func TestMain(m *testing.M) {
	switch name := os.Getenv(asBinary); name {
	case "":
		runTests(m)
	case "millrace":
		os.Exit(Main())
	case "curl":
		os.Exit(curlMain(os.Args[1:]))
	case "jq":
		os.Exit(jqMain())
	case "stubborn":
		os.Exit(cli.Main(&cobra.Command{Use: "stubborn", RunE: func(cmd *cobra.Command, _ []string) error {
			_, _ = io.WriteString(os.Stderr, "started\n")
			<-cmd.Context().Done()
			_, _ = io.WriteString(os.Stderr, "draining\n")
			select {}
		}}))
	default:
		os.Exit(cli.StageMain(name, "short"))
	}
}

// child is one of our binaries at work.
type child struct {
	*exec.Cmd
	stdout testkit.Buffer
	stderr testkit.Buffer
	ended  chan struct{} // closed when it has
}

// patience is how long a test waits for what must come.
const patience = 3 * time.Minute

// launch starts a binary. It is killed after 15 minutes, or when the test ends.
func launch(t *testing.T, binary string, args ...string) *child {
	t.Helper()
	return launchFor(t, 15*time.Minute, binary, args...)
}

// launchFor starts a binary that is killed after some time, or when the test ends.
func launchFor(t *testing.T, most time.Duration, binary string, args ...string) *child {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), most)
	p := &child{Cmd: exec.CommandContext(ctx, os.Args[0], args...), ended: make(chan struct{})}
	p.Env = append(os.Environ(), asBinary+"="+binary, "TMPDIR="+t.TempDir())
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.Wait() // the state says it
		close(p.ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.ended
		if t.Failed() {
			t.Logf("%s %s, stderr:\n%s", binary, strings.Join(args, " "), p.stderr.String())
		}
	})
	return p
}

// invoke runs a binary to its end.
func invoke(t *testing.T, binary string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := launch(t, binary, args...)
	<-p.ended
	return p.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String()
}

// send sends a signal.
func (p *child) send(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := p.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the end.
func (p *child) exit(t *testing.T) *os.ProcessState {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	return p.ProcessState
}

// address waits until the log says where health and metrics are.
func (p *child) address(t *testing.T) (url string) {
	t.Helper()
	testkit.Eventually(t, patience, testkit.That("where it listens", func() bool {
		for line := range strings.Lines(p.stderr.String()) {
			var l struct{ Msg, Listen string }
			if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "running" {
				url = "http://" + l.Listen
			}
		}
		return url != ""
	}))
	return url
}

// disturbed are the lines in which the process tells of an error of its own. An error that a Kafka client logs is none:
// it passes by itself, or a stage tells of it.
func (p *child) disturbed() (lines string) {
	for line := range strings.Lines(p.stderr.String()) {
		if !strings.Contains(line, `"level":"ERROR"`) {
			continue
		}
		for _, own := range []string{"a stage has stopped", "a line has stopped", "embedded Kafka broker"} {
			if strings.Contains(line, own) {
				lines += line
			}
		}
	}
	return lines
}

// get returns code 0 if nobody answers.
func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(content)
}

// pipelineFile writes a pipeline file with one stream; extra are further lines at its top.
func pipelineFile(t *testing.T, baseURL string, extra ...string) string {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "shop.yaml")
	content := strings.Join(append([]string{"pipeline: shop", "data_dir: " + filepath.Join(dir, "data")}, extra...), "\n") + `
http: {base_url: "` + baseURL + `"}
streams:
  orders:
    ingest: {path: /orders, key: id, every: 100ms}
    sink: {table: orders, columns: {id: bigint key, total: bigint}}
`
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func killedBy(t *testing.T, s *os.ProcessState) syscall.Signal {
	t.Helper()
	status, ok := s.Sys().(syscall.WaitStatus)
	if !ok {
		t.Fatal(errors.ErrUnsupported)
	}
	if !status.Signaled() {
		return 0
	}
	return status.Signal()
}
