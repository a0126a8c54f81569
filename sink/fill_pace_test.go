package sink

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/sink/sorted"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// paced is a fill of so many records of two partitions.
func paced(t *testing.T, records int, share float64) (*fill, *sorted.Merge) {
	t.Helper()
	f := &fill{claims: map[int32]*claim{0: {}, 1: {partition: 1}}, share: share, sorter: sorted.New(topic, t.TempDir(), 1<<20)}
	for i := range records {
		r := &kgo.Record{Topic: topic, Partition: int32(i % 2), Offset: int64(i), Key: fmt.Append(nil, i)}
		if err := f.sorter.Add(nil, r); err != nil {
			t.Fatal(err)
		}
	}
	m, err := f.sorter.Merge()
	if err != nil {
		t.Fatal(err)
	}
	return f, m
}

// TestAFillKeepsToItsRate: by any time it has written what its share of the line's rate allows since it began, and one
// transaction, at most. It is no slower either, but for what the database takes.
func TestAFillKeepsToItsRate(t *testing.T) {
	for name, c := range map[string]struct {
		limit, most int           // of the line, records a second; of a transaction, records
		share       float64       // of the fill
		takes       time.Duration // a transaction
		rate        float64       // what it comes to; 0: there is no limit
		largest     int           // transaction
	}{
		"no limit":                      {0, 100, 1, 0, 0, 100},
		"the line's, by one process":    {100, 1000, 1, 0, 100, 100},
		"by one of two processes":       {100, 1000, 0.5, 0, 50, 50},
		"many transactions in a second": {100, 10, 1, 0, 100, 10},
		"less than a record":            {2, 1000, 0.1, 0, 1, 1},
		"a slow database":               {100, 20, 1, 30 * time.Second, 100, 20},
		"now as fast, now slower":       {100, 20, 1, 200 * time.Millisecond, 100, 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const records = 410
				f, m := paced(t, records, c.share)
				defer func() { _ = f.sorter.Close() }()
				begun, n, jobs := time.Now(), 0, 0
				err := f.paced(t.Context(), m, c.limit, Config{MaxRecords: c.most, MaxBatchBytes: 1 << 20}, func() *job { return &job{} }, func(j *job) {
					n, jobs = n+j.records, jobs+1
					at := time.Since(begun)
					if c.rate > 0 && float64(n) > c.rate*at.Seconds()+float64(c.largest)+0.01 {
						t.Errorf("%d records are written after %s", n, at)
					}
					if j.records > c.largest {
						t.Errorf("a transaction of %d records", j.records)
					}
					time.Sleep(c.takes)
				})
				if err != nil || n != records {
					t.Fatalf("%d records, %v", n, err)
				}
				slowest := time.Duration(jobs) * c.takes
				if c.rate > 0 {
					slowest += time.Duration(records / c.rate * float64(time.Second))
				}
				if took := time.Since(begun); took > slowest {
					t.Errorf("it took %s, want %s at most", took, slowest)
				}
			})
		})
	}
}

// TestAPacedFillEnds: it does not wait for its turn once its context has ended, and writes nothing once no claim is
// left.
func TestAPacedFillEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, n := time.Now(), 0
		end := func(stop func(*fill)) error {
			f, m := paced(t, 100, 1)
			defer func() { _ = f.sorter.Close() }()
			n = 0
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			return f.paced(ctx, m, 10, DefaultConfig(), func() *job { return &job{} }, func(j *job) {
				n += j.records
				stop(f)
			})
		}
		if err := end(func(*fill) {}); err == nil || n != 10 || time.Since(begun) > 500*time.Millisecond {
			t.Errorf("after its context: %v, %d records, %s", err, n, time.Since(begun))
		}
		if err := end(func(f *fill) {
			for _, c := range f.claims {
				c.revoked.Store(true)
			}
		}); err != nil || n != 10 {
			t.Errorf("without a claim: %v, %d records", err, n)
		}
	})
}

// TestAFillIsToldTheRate: it is the one that is decided about its line when the processors have come to the end.
func TestAFillIsToldTheRate(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	env := stage.Env{
		Kafka: []kgo.Opt{kgo.SeedBrokers(w.seeds...)}, Metrics: prometheus.NewRegistry(), Health: &stage.Health{}, Log: slog.New(slog.DiscardHandler),
	}
	s, err := New(topics.LineOf(w.pipeline, &w.pipeline.Streams[0], 2, "things__g2"), DefaultConfig(), env)
	if err != nil {
		t.Fatal(err)
	}
	s.adm = w.adm
	for _, want := range []int{7, 0} {
		if _, err := control.Change(t.Context(), control.Config{Pipeline: "p", Who: "test", Client: env.Kafka}, "s", func(s *control.Stream) error {
			s.Lines = []control.Line{{Number: 2, State: control.LineBuilding, Rate: want}}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		f := &fill{topic: topics.Processed("p", "s")}
		if limit, err := s.endOf(t.Context(), f); err != nil || limit != want || len(*f.ends.Load()) != 6 {
			t.Errorf("%d, %v, want %d", limit, err, want)
		}
	}
}
