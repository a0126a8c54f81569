//go:build integration

package tool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/topics"
)

// remade is a pipeline on real servers whose API has other values whenever its factor changes.
type remade struct {
	onServers

	t      *testing.T
	factor atomic.Int64
	orders atomic.Int64 // how many the API has
}

func newRemade(t *testing.T) *remade {
	t.Helper()
	r := &remade{t: t}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var list []string
		for i := range r.orders.Load() {
			list = append(list, fmt.Sprintf(`{"id": %d, "total": %d}`, i, i*r.factor.Load()))
		}
		_, _ = fmt.Fprintf(w, "[%s]", strings.Join(list, ","))
	}))
	t.Cleanup(api.Close)
	r.onServers = newOnServers(t, api.URL)
	return r
}

// once runs one pass of the pipeline, when the API has n orders, with totals of that factor.
func (r *remade) once(n, factor int64, flags ...string) (log string) {
	r.t.Helper()
	r.orders.Store(n)
	r.factor.Store(factor)
	code, _, stderr := invoke(r.t, "millrace", append([]string{"run", r.file, "--once", "--listen", ""}, flags...)...)
	if code != 0 {
		r.t.Fatalf("exit code %d: %s", code, stderr)
	}
	return stderr
}

// table compares the table with n orders of a factor, and others of another.
func (r *remade) table(n, factor, of, otherwise int64) {
	r.t.Helper()
	found, err := r.db.Query("SELECT id, total FROM orders")
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	got, want := map[int64]int64{}, map[int64]int64{}
	for found.Next() {
		var id, total int64
		if err := found.Scan(&id, &total); err != nil {
			r.t.Fatal(err)
		}
		got[id] = total
	}
	for i := range of {
		want[i] = i * otherwise
	}
	for i := range n {
		want[i] = i * factor
	}
	if err := found.Err(); err != nil || !maps.Equal(got, want) {
		r.t.Errorf("%d rows, want %d of which %d are of %d; %v", len(got), len(want), n, factor, err)
	}
}

// loseKafka deletes the topics and groups of a pipeline.
func (r *remade) loseKafka(name string) {
	r.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.brokers...))
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	testkit.Eventually(r.t, patience, func() error { // the groups are empty once their members have left
		gone, err := adm.DeleteGroups(context.Background(), topics.IngestGroup(name), topics.ProcessorGroup(name), topics.SinkGroup(name))
		for _, g := range gone {
			if !errors.Is(g.Err, kerr.GroupIDNotFound) { // by an attempt before
				err = errors.Join(err, g.Err)
			}
		}
		return err
	})
	gone, err := adm.DeleteTopics(r.t.Context(), topics.Raw(name, "orders"), topics.Processed(name, "orders"),
		topics.DeadLetters(name, "orders"), topics.IngestState(name), topics.Control(name))
	if err == nil {
		err = gone.Error()
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// TestTopicsRecreatedOnRealServers: all topics are deleted beside the database, and the API has changed. The table
// equals what it has now. Then the pipeline is renamed: it is refused the table until it adopts it, and the one before
// is refused from then on.
func TestTopicsRecreatedOnRealServers(t *testing.T) {
	t.Parallel()
	r := newRemade(t)
	r.once(300, 1)
	r.table(300, 1, 0, 0)
	r.loseKafka(r.name)
	if log := r.once(300, 2); !strings.Contains(log, "the topic "+topics.Processed(r.name, "orders")+" was recreated: what the new one holds replaces the rows") {
		t.Errorf("not told:\n%s", log)
	}
	r.table(300, 2, 0, 0)
	r.loseKafka(r.name)
	r.once(5, 3)
	r.table(5, 3, 300, 2)
	if log := r.once(5, 4); strings.Contains(log, "was recreated") {
		t.Errorf("told once more:\n%s", log)
	}
	r.table(5, 4, 300, 2)

	before, store := r.file, testservers.Unique(t)
	content, err := os.ReadFile(before)
	if err != nil {
		t.Fatal(err)
	}
	r.file = before + ".renamed.yaml"
	if err := os.WriteFile(r.file, []byte(strings.Replace(string(content), "pipeline: "+r.name, "pipeline: "+store, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.refused(r.file, "table orders: the stream orders of the pipeline "+r.name+" writes it")
	r.table(5, 4, 300, 2)
	if log := r.once(5, 5, "--adopt", "orders"); !strings.Contains(log, "the table orders was adopted, from the stream orders of the pipeline "+r.name) {
		t.Errorf("not told:\n%s", log)
	}
	r.table(5, 5, 300, 2)
	r.refused(before, "table orders: the stream orders of the pipeline "+store+" writes it")
	r.table(5, 5, 300, 2)
}

// refused runs a pipeline until it says why it waits.
func (r *remade) refused(file, why string) {
	r.t.Helper()
	p := launch(r.t, "millrace", "run", file, "--listen", "127.0.0.1:0")
	address := p.address(r.t)
	testkit.Eventually(r.t, patience, testkit.That(why, func() bool {
		code, body := get(r.t, address+"/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, why) && strings.Contains(body, "--adopt orders")
	}))
	p.send(r.t, syscall.SIGTERM)
	if code := p.exit(r.t).ExitCode(); code != 0 {
		r.t.Errorf("exit code %d", code)
	}
}
