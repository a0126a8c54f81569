package ingest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ingest"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// BenchmarkPass fetches passes from an API that is served from memory: as fast as it goes, and with 50 ms of latency
// and 16 requests in flight, where concurrency ÷ latency is what can be reached.
func BenchmarkPass(b *testing.B) {
	for _, latency := range []time.Duration{0, 50 * time.Millisecond} {
		b.Run(latency.String(), func(b *testing.B) {
			const size, pages, concurrency = 100, 1000, 16
			bodies := make([]string, pages+1)
			for p := range pages {
				var s strings.Builder
				for i := range size {
					fmt.Fprintf(&s, `,{"id":%d,"carrier":"UA","flight":1545,"tailnum":"N14228","origin":"EWR","dest":"IAH","air_time":227,`+
						`"distance":1400,"hour":5,"minute":15,"time_hour":"2013-01-01T05:00:00Z","dep_delay":2,"arr_delay":11}`, p*size+i)
				}
				bodies[p] = "[" + s.String()[1:] + "]"
			}
			bodies[pages] = "[]"
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				testkit.Pause(r.Context(), latency)
				n, _ := strconv.Atoi(r.URL.Query().Get("page"))
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, bodies[min(n, pages)])
			}))
			defer api.Close()
			c := testkafka.New(b)
			s := pipeline.Stream{Name: "flights", Ingest: pipeline.Ingest{
				HTTP: pipeline.HTTP{BaseURL: api.URL, Timeout: 10 * time.Second, Retry: pipeline.Retry{Initial: time.Second, Max: time.Second, Attempts: 3}},
				Path: "/", Key: []string{"id"}, Concurrency: concurrency,
				Paginate: pipeline.Paginate{Page: &pipeline.PageNumber{Param: "page", Stop: pipeline.StopRule{When: "empty"}}},
			}}
			var took, cpu time.Duration
			for i := range b.N {
				p := newPipeline(c.ListenAddrs(), s)
				p.Name = fmt.Sprintf("bench%d", i)
				before, begun := processor(), time.Now()
				r := start(b, p, "one", ingest.DefaultConfig())
				r.awaitPass(b)
				took += time.Since(begun)
				cpu += processor() - before
				r.stop()
			}
			records := float64(b.N * pages * size)
			b.ReportMetric(records/took.Seconds(), "records/s")
			b.ReportMetric(cpu.Seconds()/records*1e6, "cpu-s/Mrecord") // with the broker and the API
			if latency > 0 {
				b.ReportMetric(100*records/took.Seconds()/(size*concurrency/latency.Seconds()), "%-of-limit")
			}
		})
	}
}

// processor is the processor time that this process has used.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
