package tool

import (
	"bytes"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
)

// orders is an API with a few orders.
func orders(t *testing.T) (url string, requests *atomic.Int64) {
	t.Helper()
	requests = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = w.Write([]byte(`[{"id": 1, "total": 10}, {"id": 2, "total": 20}, {"id": 3, "total": 30}]`))
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

func TestRunServesHealthAndDrainsOnASignal(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			url, _ := orders(t)
			p := launch(t, "millrace", "run", pipelineFile(t, url), "--listen", "127.0.0.1:0")
			address := p.address(t)
			if code, body := get(t, address+"/healthz"); code != http.StatusOK {
				t.Errorf("healthz: %d %s", code, body)
			}
			testkit.Eventually(t, patience, testkit.That("rows", func() bool {
				_, metrics := get(t, address+"/metrics")
				return strings.Contains(metrics, `millrace_sink_rows_total{stream="orders"} 3`)
			}))
			testkit.Eventually(t, patience, testkit.That("readiness", func() bool {
				code, _ := get(t, address+"/readyz")
				return code == http.StatusOK
			}))
			if code, stdout, stderr := invoke(t, "millrace", "healthcheck", "--url", address+"/readyz"); code != 0 {
				t.Errorf("healthcheck: %d %s%s", code, stdout, stderr)
			}
			p.send(t, signal)
			if code := p.exit(t).ExitCode(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if !strings.Contains(p.stderr.String(), `"msg":"draining"`) || p.disturbed() != "" {
				t.Errorf("the log should tell of a drain and of no error")
			}
		})
	}
}

func TestASecondSignalKills(t *testing.T) {
	p := launch(t, "stubborn")
	testkit.Eventually(t, patience, testkit.That("its start", func() bool { return strings.Contains(p.stderr.String(), "started") }))
	p.send(t, syscall.SIGTERM)
	testkit.Eventually(t, patience, testkit.That("the drain", func() bool { return strings.Contains(p.stderr.String(), "draining") }))
	p.send(t, syscall.SIGINT) // any of the two
	// The handler of the first signal is taken away beside the drain; until then a signal is swallowed.
	testkit.Eventually(t, patience, testkit.That("its end", func() bool {
		_ = p.Process.Signal(syscall.SIGINT)
		select {
		case <-p.ended:
			return true
		default:
			return false
		}
	}))
	if by := killedBy(t, p.exit(t)); by != syscall.SIGINT {
		t.Errorf("killed by %v, want SIGINT", by)
	}
}

func TestADirectoryIsUsedByOneProcess(t *testing.T) {
	url, _ := orders(t)
	name := pipelineFile(t, url)
	first := launch(t, "millrace", "run", name, "--listen", "127.0.0.1:0")
	first.address(t)
	code, _, stderr := invoke(t, "millrace", "run", name, "--listen", "127.0.0.1:0")
	if code != cli.ExitError || !strings.Contains(stderr, "in use by process "+strconv.Itoa(first.Process.Pid)) {
		t.Errorf("%d %q, want 1 and the process %d", code, stderr, first.Process.Pid)
	}
}

// A server that is not there is waited for, and a signal ends the waiting.
func TestServersAreWaitedFor(t *testing.T) {
	url, _ := orders(t)
	const nowhere = `kafka: {brokers: ["127.0.0.1:1"]}`
	const mysql = `database: {mysql: "app:hush-hush@tcp(127.0.0.1:1)/shop"}`
	for stage, what := range map[string]string{"ingest": "Kafka", "processor": "Kafka", "sink": "MySQL"} {
		t.Run(stage, func(t *testing.T) {
			p := launch(t, stage, pipelineFile(t, url, nowhere, mysql), "--listen", "127.0.0.1:0", "--instance", "test")
			address := p.address(t)
			testkit.Eventually(t, patience, testkit.That(what, func() bool {
				code, body := get(t, address+"/readyz")
				return code == http.StatusServiceUnavailable && strings.Contains(body, `"`+stage+`":"`+what)
			}))
			if code, _ := get(t, address+"/healthz"); code != http.StatusOK {
				t.Errorf("healthz: %d", code)
			}
			p.send(t, syscall.SIGTERM)
			if code := p.exit(t).ExitCode(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if strings.Contains(p.stderr.String(), "hush-hush") {
				t.Error("the password is in the log")
			}
		})
	}
}

// What needs an operator ends the process with 1 and says what.
func TestATopicThatDiffersEndsTheProcess(t *testing.T) {
	url, _ := orders(t)
	cluster := testkafka.New(t)
	testkafka.Topics(t, cluster, 7, "shop.orders.raw")
	name := pipelineFile(t, url, "kafka: {brokers: ["+cluster.ListenAddrs()[0]+"]}")
	code, _, stderr := invoke(t, "millrace", "run", name, "--listen", "127.0.0.1:0")
	if code != cli.ExitError || !strings.Contains(stderr, "partitions is 7, want 6") || !strings.Contains(stderr, "a stage has stopped") {
		t.Errorf("%d, want 1 and the topic: %s", code, stderr)
	}
}

// TestRunOnceEnds: with exit code 0 when a pass of every stream is in the tables, again and again, although its streams
// have an interval that is not over; a letter is through, too.
func TestRunOnceEnds(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`[{"id": 1, "total": 10}, {"id": 2, "total": "many"}, {"total": 30}, {"id": 4, "total": 40}]`))
	}))
	t.Cleanup(server.Close)
	name := pipelineFile(t, server.URL)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.ReplaceAll(text, []byte("every: 100ms"), []byte("every: 24h")), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		code, _, stderr := invoke(t, "millrace", "run", name, "--once", "--listen", "")
		if code != cli.ExitOK || !strings.Contains(stderr, "one pass of every stream is in the tables") {
			t.Fatalf("%d %s", code, stderr)
		}
		if strings.Contains(stderr, "OffsetCommitResponse") {
			t.Errorf("a warning of no use: %s", stderr)
		}
		db, err := sql.Open("sqlite", filepath.Join(filepath.Dir(name), "data", "millrace.db"))
		if err != nil {
			t.Fatal(err)
		}
		var ids string
		if err := db.QueryRowContext(t.Context(), "SELECT group_concat(id) FROM orders").Scan(&ids); err != nil || ids != "1,4" {
			t.Errorf("rows %s: %v", ids, err)
		}
		_ = db.Close()
	}
}

// TestRunOnceStoppedBefore: a script must not take a run that was stopped for one that is done.
func TestRunOnceStoppedBefore(t *testing.T) {
	asked := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	p := launch(t, "millrace", "run", pipelineFile(t, server.URL), "--once", "--listen", "")
	<-asked
	p.send(t, syscall.SIGTERM)
	if code := p.exit(t).ExitCode(); code != cli.ExitError || !strings.Contains(p.stderr.String(), "--once: stopped before") {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
}

// TestOnceIsForAllStages: a stage alone does not know when the others are through.
func TestOnceIsForAllStages(t *testing.T) {
	if code, _, stderr := invoke(t, "ingest", "x.yaml", "--once"); code != cli.ExitUsage || !strings.Contains(stderr, "--once") {
		t.Errorf("%d %s", code, stderr)
	}
}
