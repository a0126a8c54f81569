package processor_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// BenchmarkRedo compares, in one run, how fast a processor and a redo get through the same records, each of another
// key: records a second of both, the ratio, and how many the index of the redo looked through.
func BenchmarkRedo(b *testing.B) {
	const n, partitions = 200_000, 4
	for b.Loop() {
		p := shop(partitions)
		c, cl := cluster(b, p)
		records := make([]*kgo.Record, 0, 10_000)
		for i := range n {
			key := strconv.Itoa(i)
			records = append(records, &kgo.Record{
				Key: []byte(key), Partition: topics.Partition([]byte(key), partitions), Value: fmt.Appendf(nil, `{"id":%d,"n":%d,"status":"ok"}`, i, i),
			})
			if len(records) == cap(records) {
				produce(b, cl, p, records...)
				records = records[:0]
			}
		}
		cfg := processor.DefaultConfig()
		stop := run(b, p, cfg, env(b, c, "live"))
		left := func(most int64) func() error {
			return func() error {
				n, err := admin.Lag(b.Context(), cl, topics.ProcessorGroup(p.Name), partitions, raw(p))
				if err == nil && n > most {
					err = fmt.Errorf("%d are left", n)
				}
				return err
			}
		}
		testkit.Eventually(b, 2*time.Minute, left(n-1)) // the group is there
		began := time.Now()
		testkit.Eventually(b, 2*time.Minute, left(0))
		live := n / time.Since(began).Seconds()
		stop()

		what := again(b, cl, p, 9)
		began = time.Now()
		r, err := processor.NewRedo(p, cfg, env(b, c, "redo"), what)
		if err != nil {
			b.Fatal(err)
		}
		stop = testkit.Run(b, r.Run)
		testkit.Eventually(b, 2*time.Minute, testkit.That("the index", func() bool { return r.Progress().Keys == n }))
		index := n / time.Since(began).Seconds()
		began = time.Now()
		awaitRedo(b, cl, p, what)
		redo := n / time.Since(began).Seconds()
		stop()
		b.ReportMetric(live, "live/s")
		b.ReportMetric(index, "index/s")
		b.ReportMetric(redo, "redo/s")
		b.ReportMetric(redo/live, "ratio")
	}
}
