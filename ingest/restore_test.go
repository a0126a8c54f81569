package ingest_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// restoreOver starts a process whose state topic has so many bytes in each partition, over a link, and returns when it
// has fetched: how long that took, and how many bytes came over the link.
func restoreOver(t testing.TB, partitionBytes, bytesPerSecond int, within time.Duration) (took time.Duration, down int64) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"data":[]}`) }))
	t.Cleanup(api.Close)
	s := (&whole{api}).stream()
	var values []string
	has := map[int32]bool{}
	for i := 0; len(has) < topics.StatePartitions; i++ { // one slice in each partition
		slice := fmt.Sprint("s", i)
		if p := topics.Partition([]byte(cursor.Key(s.Name, slice)), topics.StatePartitions); !has[p] {
			has[p] = true
			values = append(values, slice)
		}
	}
	s.Ingest.Slices = &pipeline.Slices{Name: "slice", Values: values}
	cluster := testkafka.New(t)
	pl := newPipeline(cluster.ListenAddrs(), s)
	fillState(t, pl, s.Name, values, partitionBytes)

	link := testkit.NewLink(bytesPerSecond)
	begun := time.Now()
	r := startWith(t, pl, "one", testConfig(), kgo.Dialer(link.Dial))
	select {
	case <-r.PassesDone():
	case <-time.After(within):
		t.Errorf("not restored after %v, with %d MB over the link; waiting for %v", within, link.Down()>>20, r.Health.Waiting())
	}
	took, down = time.Since(begun), link.Down()
	link.SetRate(1 << 30)
	r.stop()
	return took, down
}

// fillState writes revisions of one segment into each partition, which compaction has not reached yet.
func fillState(t testing.TB, pl *pipeline.Pipeline, stream string, slices []string, partitionBytes int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(pl.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := admin.Ensure(t.Context(), kadm.NewClient(cl), topics.Specs(pl)); err != nil {
		t.Fatal(err)
	}
	noise := rand.NewChaCha8([32]byte{})
	for _, slice := range slices {
		key := cursor.Key(stream, slice)
		for left := partitionBytes; left > 0; left -= 160_000 {
			value := make([]byte, 1+40*(min(left, 160_000)/40))
			_, _ = noise.Read(value)
			value[0] = 1
			segment := []byte(key + "\x00" + hex.EncodeToString(make([]byte, 8)))
			rec := &kgo.Record{Topic: topics.IngestState(pl.Name), Key: segment, Value: value, Partition: topics.Partition([]byte(key), topics.StatePartitions)}
			cl.Produce(t.Context(), rec, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("fill the state: %v", err)
				}
			})
		}
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestRestoreOverASlowLink restores a state that takes some seconds to come: few partitions at a time, each byte once,
// but for what a busy machine lets time out.
func TestRestoreOverASlowLink(t *testing.T) {
	t.Parallel()
	const each = 300_000
	_, down := restoreOver(t, each, 4<<20, 2*patience)
	if most := int64(topics.StatePartitions * each * 2); down > most {
		t.Errorf("%d bytes came over the link for a state of %d", down, topics.StatePartitions*each)
	}
}

// BenchmarkRestore restores 32 partitions of 6 MB at 2 MB/s: 96 s at best.
func BenchmarkRestore(b *testing.B) {
	for range b.N {
		took, down := restoreOver(b, 6_000_000, 2_000_000, 250*time.Second)
		b.ReportMetric(took.Seconds(), "s/restore")
		b.ReportMetric(float64(down)/1e6, "MB-read")
	}
}
