package ingest

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
)

// answers is an API in memory, so that what is measured of a page is ingest's own share of it.
type answers []byte

// RoundTrip is that of [http.RoundTripper].
func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Request: req, ContentLength: int64(len(a)), Body: io.NopCloser(bytes.NewReader(a)),
		Header: http.Header{
			"Content-Type": {"application/json; charset=utf-8"}, "Content-Length": {strconv.Itoa(len(a))},
			"Date": {time.Now().UTC().Format(http.TimeFormat)},
		},
	}, nil
}

// BenchmarkPage is what a page costs from its request until it is handed to the owner of its partition, without network
// and Kafka.
func BenchmarkPage(b *testing.B) {
	for _, size := range []int{10, 100, 1000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			s := pageSlice(b, pageBody(size), size)
			loop, of := paginate.Loop{}, s.pages(b.Context())
			of.beside = newOverlaps(16, &s.in.overlapping)
			b.ReportAllocs()
			b.ResetTimer()
			before := processorTime()
			for range b.N {
				var p *page
				var err error
				var wg sync.WaitGroup
				wg.Go(func() { growStack(); p, err = s.fetch(b.Context(), s.plan, s.plan.Next) }) // as those that are fetched ahead
				wg.Wait()
				if err != nil {
					b.Fatal(err)
				}
				of.beside.disagree(p)
				of.beside.note(p)
				p.hash.Lo += uint64(p.at.Index) // no page has the records of the one before
				if _, ended, err := s.accept(p, &loop, of); err != nil || ended != paginate.GoesOn {
					b.Fatal(ended, err)
				}
				p.close()
			}
			b.ReportMetric(float64((processorTime()-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// TestMemoryForRecordsIsTakenOnce: a page takes memory for about as many records as the page before had, and that is
// what is counted.
func TestMemoryForRecordsIsTakenOnce(t *testing.T) {
	t.Parallel()
	const size = 500
	s := pageSlice(t, pageBody(size), size)
	for n, most := range []int{2 * size, size * 5 / 4} {
		p, err := s.fetch(t.Context(), s.plan, s.plan.Next)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.records) != size || cap(p.records) > most {
			t.Errorf("page %d: memory for %d records, of %d at most, and %d are held of %d", n, cap(p.records), most, len(p.records), size)
		}
		p.close()
	}
}

// pageBody is a page of so many records, of very many.
func pageBody(size int) []byte {
	body := []byte(`{"total":1000000000,"data":[`)
	for i := range size {
		body = fmt.Appendf(body, `{"id":%d,"carrier":"UA","flight":1545,"tailnum":"N14228","origin":"EWR","dest":"IAH","air_time":227,`+
			`"distance":1400,"hour":5,"minute":15,"time_hour":"2013-01-01T05:00:00Z","dep_delay":2,"arr_delay":11},`, i)
	}
	return append(body[:len(body)-1], "]}"...)
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pageSlice is a slice of a stream with pages of that size, whose first pass has begun.
func pageSlice(b testing.TB, body []byte, size int) *slice {
	b.Helper()
	cfg := DefaultConfig()
	cfg.Transport = func(http.RoundTripper) http.RoundTripper { return answers(body) }
	p := &pipeline.Pipeline{Name: "shop", Kafka: pipeline.Kafka{MaxRecordBytes: 1 << 20}, Streams: []pipeline.Stream{{
		Name: "flights", Ingest: pipeline.Ingest{
			HTTP: pipeline.HTTP{BaseURL: "https://api.test/v1", Secrets: []pipeline.Reference{{Name: "TOKEN", Value: "s3cret-token"}}},
			Path: "/flights", Records: []string{"data"}, Key: []string{"id"},
			Paginate: pipeline.Paginate{Offset: &pipeline.OffsetLimit{
				Param: "offset", LimitParam: "limit", Limit: size, Stop: pipeline.StopRule{When: "total", Field: []string{"total"}},
			}},
		},
	}}}
	p.Streams[0].Ingest.HTTP.Auth.Bearer = "s3cret-token"
	in, err := New(p, cfg, stage.Env{Metrics: prometheus.NewRegistry(), Health: &stage.Health{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(in.close)
	s, err := in.newSlice(&p.Streams[0], "", nil, cursor.Cursor{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	s.beginPass(time.Now())
	return s
}
