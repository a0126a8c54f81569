package tool

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkafka"
)

func TestValidate(t *testing.T) {
	good := pipelineFile(t, "http://localhost:8080")
	code, stdout, stderr := invoke(t, "millrace", "validate", good, good)
	if want := strings.Repeat(good+": 1 stream, ok\n", 2); code != 0 || stdout != want || stderr != "" {
		t.Errorf("%d %q %q, want %q", code, stdout, stderr, want)
	}
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("pipeline: shop\nkafke: embedded\nstreams:\n  orders:\n    ingest: {pathe: /orders}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = invoke(t, "millrace", "validate", bad, good)
	if code != cli.ExitUsage || !strings.Contains(stdout, good+": 1 stream, ok") {
		t.Errorf("%d %q, want 2, and the good file looked at too", code, stdout)
	}
	for _, want := range []string{bad + ":2:1: ", "kafke", "kafka", bad + ":5:14: ", "pathe", "path"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q does not say %s", stderr, want)
		}
	}
}

func TestValidateOfflineWithPlan(t *testing.T) {
	name := pipelineFile(t, "http://localhost:8080", "kafka: {brokers: [\"${BROKER_OF_NOBODY}\"], partitions: 3}",
		"database: {mysql: \"app:${PASSWORD_OF_NOBODY}@tcp(db:3306)/shop\"}")
	if code, _, stderr := invoke(t, "millrace", "validate", name); code != cli.ExitUsage || !strings.Contains(stderr, "PASSWORD_OF_NOBODY") {
		t.Errorf("%d %q, want that a variable is missing", code, stderr)
	}
	code, stdout, stderr := invoke(t, "millrace", "validate", "--offline", "--plan", name)
	if code != 0 || stderr != "" {
		t.Fatalf("%d %q", code, stderr)
	}
	for _, want := range []string{
		"ok; not set here: ${BROKER_OF_NOBODY}, ${PASSWORD_OF_NOBODY}\n", "shop.orders.raw        3", "shop.ingest.state      32",
		"-- stream orders\nCREATE TABLE IF NOT EXISTS `orders` (\n  `id` bigint NOT NULL,\n", "PRIMARY KEY (`id`)", "CREATE TABLE IF NOT EXISTS millrace_offsets",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in:\n%s", want, stdout)
		}
	}
}

func TestValidateWarns(t *testing.T) {
	name := pipelineFile(t, "http://localhost:8080")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "    sink:", "    process: [filter: status != draft]\n    sink:", 1))
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := invoke(t, "millrace", "validate", name)
	if code != 0 || !strings.Contains(stderr, `warning: draft is compared with as a field; a text is written in quotes: "draft"`) {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestExplain(t *testing.T) {
	code, stdout, stderr := invoke(t, "millrace", "explain", "streams.orders.ingest.paginate")
	if code != 0 || stderr != "" {
		t.Fatalf("%d %q", code, stderr)
	}
	for _, want := range []string{"link, auto, or a mapping", "exactly one of: page, offset, cursor, link", "  cursor  The body names the next page\n", "example:\n  streams:\n    orders:\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in:\n%s", want, stdout)
		}
	}
	if code, _, stderr = invoke(t, "millrace", "explain", "ingest.pagination"); code != cli.ExitUsage || !strings.Contains(stderr, `did you mean "paginate"?`) {
		t.Errorf("%d %q", code, stderr)
	}
	if code, stdout, _ = invoke(t, "millrace", "explain"); code != 0 || !strings.Contains(stdout, "streams *") {
		t.Errorf("%d %q", code, stdout)
	}
	_, stdout, _ = invoke(t, "millrace", "__complete", "explain", "streams.orders.ingest.pag")
	if !strings.Contains(stdout, "streams.orders.ingest.paginate\tHow the next page is asked for") {
		t.Errorf("completion: %s", stdout)
	}
}

func TestExitCodes(t *testing.T) {
	good := pipelineFile(t, "http://localhost:8080")
	brokers := pipelineFile(t, "http://localhost:8080", "kafka: {brokers: [127.0.0.1:1]}")
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("pipeline: shop\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const errorsOut, wrong = cli.ExitError, cli.ExitUsage
	for _, c := range []struct {
		command string
		code    int
		stderr  string
	}{
		{"millrace version", 0, ""},
		{"millrace --version", 0, ""},
		{"millrace --help", 0, ""},
		{"millrace", 0, ""},
		{"millrace rum", wrong, "see `millrace --help`"},
		{"millrace run", wrong, "see `millrace run --help`"},
		{"millrace run a.yaml b.yaml", wrong, "want one pipeline file, got 2"},
		{"millrace run --drain-timeout soon " + good, wrong, "see `millrace run --help`"},
		{"millrace run --drain-timeout -1s " + good, wrong, "--drain-timeout"},
		{"millrace run --log-format xml " + good, wrong, "--log-format"},
		{"millrace run --log-level loud " + good, wrong, "--log-level"},
		{"millrace run --streams parcels " + good, wrong, `no stream "parcels"`},
		{"millrace run none.yaml", wrong, "none.yaml"},
		{"millrace run " + bad, wrong, "`millrace validate " + bad + "`"},
		{"millrace run --listen nowhere:99999999 " + good, errorsOut, "--listen"},
		{"millrace ingest " + good, wrong, "`millrace run`"},
		{"ingest " + good, wrong, "`millrace run`"},
		{"processor " + good, wrong, "kafka.brokers"},
		{"sink " + brokers, wrong, "database.mysql"},
		{"sink", wrong, "see `sink --help`"},
		{"sink --version", 0, ""},
		{"millrace topics", wrong, "see `millrace topics --help`"},
		{"millrace topics " + good, 0, ""},
		{"millrace topics --create " + good, errorsOut, "`millrace run`"},
		{"millrace healthcheck --url http://127.0.0.1:1/readyz", errorsOut, "refused"},
		{"millrace healthcheck --url ://", wrong, "--url"},
	} {
		t.Run(c.command, func(t *testing.T) {
			words := strings.Fields(c.command)
			code, stdout, stderr := invoke(t, words[0], words[1:]...)
			if code != c.code || !strings.Contains(stderr, c.stderr) || code == 0 && (stderr != "" || stdout == "") {
				t.Errorf("%d %q, want %d and %q; stdout %q", code, stderr, c.code, c.stderr, stdout)
			}
		})
	}
}

func TestSchema(t *testing.T) {
	code, stdout, _ := invoke(t, "millrace", "schema")
	var schema map[string]any
	if err := json.Unmarshal([]byte(stdout), &schema); err != nil || code != 0 || schema["$schema"] == nil {
		t.Errorf("%d %v, want a JSON Schema:\n%s", code, err, stdout)
	}
}

func TestTopics(t *testing.T) {
	cluster := testkafka.New(t, kfake.NumBrokers(1))
	name := pipelineFile(t, "http://localhost:8080", "kafka: {brokers: ["+cluster.ListenAddrs()[0]+"], partitions: 3}")
	testkafka.Topics(t, cluster, 5, "shop.orders.dlq")

	code, stdout, stderr := invoke(t, "millrace", "topics", name)
	if code != 1 || strings.Count(stdout, "missing") != 4 || !strings.Contains(stdout, "partitions is 5") || !strings.Contains(stderr, "shop.orders.dlq") {
		t.Errorf("%d, want four topics that are missing and one that differs:\n%s%s", code, stdout, stderr)
	}
	code, stdout, _ = invoke(t, "millrace", "topics", "--create", name)
	if code != 1 || strings.Count(stdout, " ok\n") != 4 {
		t.Errorf("%d, want four topics that are made, and one that still differs:\n%s", code, stdout)
	}

	cluster = testkafka.New(t, kfake.NumBrokers(1))
	name = pipelineFile(t, "http://localhost:8080", "kafka: {brokers: ["+cluster.ListenAddrs()[0]+"], partitions: 3}")
	code, _, stderr = invoke(t, "millrace", "topics", name)
	if code != 1 || !strings.Contains(stderr, "`millrace topics "+name+" --create`") {
		t.Errorf("%d %q, want the next command", code, stderr)
	}
	for range 2 {
		if code, stdout, stderr = invoke(t, "millrace", "topics", "--create", name); code != 0 || strings.Count(stdout, " ok\n") != 5 {
			t.Errorf("%d, want five topics:\n%s%s", code, stdout, stderr)
		}
	}
}

func TestHealthcheck(t *testing.T) {
	var ready atomic.Bool
	ready.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(w, `{"ready":false,"waiting":{"sink":"MySQL"}}`, http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	if code, stdout, stderr := invoke(t, "millrace", "healthcheck", "--url", server.URL); code != 0 || stdout != "ready\n" {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
	ready.Store(false)
	if code, _, stderr := invoke(t, "millrace", "healthcheck", "--url", server.URL); code != 1 || !strings.Contains(stderr, "MySQL") {
		t.Errorf("%d %q, want what is waited for", code, stderr)
	}
}
