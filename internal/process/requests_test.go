package process_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/process"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/pipeline/file"
)

// requestsOfAStart are how often each kind of request is made by a process of all stages from its start until a record
// of each of so many streams is in its table.
func requestsOfAStart(t *testing.T, streams int) map[string]int {
	t.Helper()
	c := testkafka.New(t)
	var mu sync.Mutex
	got := map[string]int{}
	c.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		got[kmsg.NameForKey(r.Key())]++
		return nil, nil, false
	})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[{"id": 1}]`)) }))
	t.Cleanup(api.Close)
	var text strings.Builder
	fmt.Fprintf(&text, "pipeline: shop\ndata_dir: %s\nkafka: {brokers: [%q], partitions: 3}\nhttp: {base_url: %q}\nstreams:\n",
		filepath.Join(t.TempDir(), "shop"), c.ListenAddrs()[0], api.URL)
	for i := range streams {
		fmt.Fprintf(&text, "  s%d:\n    ingest: {path: /orders, key: id, every: 1h}\n    sink: {table: t%d, columns: {id: bigint key}}\n", i, i)
	}
	p, err := file.Parse("shop.yaml", []byte(text.String()), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	o := options(process.All...)
	o.Once = true
	x, err := process.New(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	return got
}

// TestAStartAsksForAllStreamsAtOnce: what is set up at the brokers takes as many requests for sixty streams as for a
// few, but for a bounded number of topics in each.
func TestAStartAsksForAllStreamsAtOnce(t *testing.T) {
	const streams = 60
	got := requestsOfAStart(t, streams)
	for _, kind := range []kmsg.Key{kmsg.CreateTopics, kmsg.DescribeConfigs, kmsg.AlterConfigs, kmsg.IncrementalAlterConfigs, kmsg.CreatePartitions} {
		if n := got[kind.Name()]; n >= streams/2 {
			t.Errorf("%d requests %s for %d streams", n, kind.Name(), streams)
		}
	}
	if got[kmsg.CreateTopics.Name()] == 0 || got[kmsg.DescribeConfigs.Name()] == 0 {
		t.Errorf("not counted: %v", got)
	}
}
