package telemetry_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/telemetry"
	"github.com/millrace-io/millrace/internal/testkit"
)

// serve starts a server that stops with the test.
func serve(t *testing.T, health *stage.Health, profile bool) (url string, metrics *prometheus.Registry) {
	t.Helper()
	metrics = telemetry.NewRegistry()
	s, err := telemetry.Listen(t.Context(), "127.0.0.1:0", metrics, health, profile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	testkit.Run(t, s.Run)
	return "http://" + s.Address(), metrics
}

func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(content)
}

func TestReadyzSaysWhatIsWaitedFor(t *testing.T) {
	health := &stage.Health{}
	url, _ := serve(t, health, false)
	if code, body := get(t, url+"/readyz"); code != http.StatusOK || body != `{"ready":true}`+"\n" {
		t.Errorf("%d %s", code, body)
	}
	health.Wait("sink", "MySQL: connection refused")
	code, body := get(t, url+"/readyz")
	var answer struct {
		Ready   bool
		Waiting map[string]string
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if code != http.StatusServiceUnavailable || answer.Ready || answer.Waiting["sink"] != "MySQL: connection refused" {
		t.Errorf("%d %s", code, body)
	}
	if code, body := get(t, url+"/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("waiting is not being ill: %d %s", code, body)
	}
	health.Ready("sink")
	if code, _ := get(t, url+"/readyz"); code != http.StatusOK {
		t.Errorf("%d after Ready", code)
	}
}

func TestMetrics(t *testing.T) {
	url, metrics := serve(t, &stage.Health{}, false)
	rows := prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_sink_rows_total", Help: "Rows."})
	metrics.MustRegister(rows)
	rows.Add(3)
	code, body := get(t, url+"/metrics")
	for _, name := range []string{"millrace_sink_rows_total 3", "go_goroutines", "process_resident_memory_bytes"} {
		if code != http.StatusOK || !strings.Contains(body, name) {
			t.Errorf("%d, no %s", code, name)
		}
	}
}

func TestProfilesAreServedOnlyIfAskedFor(t *testing.T) {
	for profile, want := range map[bool]int{false: http.StatusNotFound, true: http.StatusOK} {
		url, _ := serve(t, &stage.Health{}, profile)
		if code, _ := get(t, url+"/debug/pprof/heap"); code != want {
			t.Errorf("%d with profile=%v, want %d", code, profile, want)
		}
	}
}

func TestATakenPortSaysWhatToDo(t *testing.T) {
	url, metrics := serve(t, &stage.Health{}, false)
	_, err := telemetry.Listen(t.Context(), strings.TrimPrefix(url, "http://"), metrics, &stage.Health{}, false)
	if err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("%v, want an error that names --listen", err)
	}
}
