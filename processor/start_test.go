package processor_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// many is a pipeline of several streams as in shop.
func many(streams int, partitions int32) *pipeline.Pipeline {
	p := shop(partitions)
	one := p.Streams[0]
	p.Streams = nil
	for i := range streams {
		s := one
		s.Name = fmt.Sprintf("s%02d", i)
		s.Sink.Table = s.Name
		p.Streams = append(p.Streams, s)
	}
	return p
}

// TestStreamsAreRegisteredTogether: the control topic is claimed once, however many streams are new.
func TestStreamsAreRegisteredTogether(t *testing.T) {
	p := many(20, 1)
	c, _ := cluster(t, p)
	var claims atomic.Int32
	c.ControlKey(int16(kmsg.InitProducerID), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if id := r.(*kmsg.InitProducerIDRequest).TransactionalID; id != nil && *id == topics.Control(p.Name) {
			claims.Add(1)
		}
		return nil, nil, false
	})
	run(t, p, quick(), env(t, c, "a"))
	view := control.NewView(decisions(c))
	t.Cleanup(view.Close)
	testkit.Eventually(t, 2*time.Minute, testkit.That("the streams are known", func() bool {
		_, err := view.Refresh(t.Context())
		return err == nil && view.Stream("s00").Live == 1
	}))
	for _, s := range p.Streams {
		if live := view.Stream(s.Name).Live; live != 1 {
			t.Errorf("%s: generation %d when the first stream was known", s.Name, live)
		}
	}
	if n := claims.Load(); n > 3 { // of one that was too late for its transaction, another follows
		t.Errorf("%d claims of the control topic for %d streams, want 1", n, len(p.Streams))
	}
}

// BenchmarkStart starts a processor of 100 streams of 100 partitions, whose topics are there: for the first time, and
// once more. It reports how long it takes until the streams are registered, and until each has a row.
func BenchmarkStart(b *testing.B) {
	const streams, partitions = 100, 100
	p := many(streams, partitions)
	for b.Loop() {
		b.StopTimer()
		c, cl := cluster(b, p)
		b.StartTimer()
		for _, which := range []string{"first", "second"} {
			for _, s := range p.Streams {
				produce(b, cl, p, &kgo.Record{Topic: topics.Raw(p.Name, s.Name), Key: []byte("1"), Value: []byte(`{"id":1,"n":1,"status":"ok"}`)})
			}
			e := env(b, c, which)
			began := time.Now()
			proc, err := processor.New(p, quick(), e)
			if err != nil {
				b.Fatal(err)
			}
			e.Health.Wait("processor", "starting")
			stop := testkit.Run(b, proc.Run)
			testkit.Eventually(b, 5*time.Minute, testkit.That("registered", func() bool { return len(e.Health.Waiting()) == 0 }))
			b.ReportMetric(time.Since(began).Seconds(), which+"-registered-s")
			testkit.Eventually(b, 5*time.Minute, testkit.That("rows", func() bool { return written(b, e) == streams }))
			b.ReportMetric(time.Since(began).Seconds(), which+"-rows-s")
			stop()
		}
	}
}

// written counts the rows of a processor whose transactions are committed.
func written(t testing.TB, e stage.Env) (n int) {
	t.Helper()
	families, err := e.Metrics.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "millrace_processor_rows_total" {
			for _, m := range f.GetMetric() {
				n += int(m.GetCounter().GetValue())
			}
		}
	}
	return n
}
