package ingest_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// history is an API with n records in pages of 500, one a minute up to an end, oldest first.
func history(t testing.TB, n int, end time.Time) (stream pipeline.Stream) {
	t.Helper()
	const size = 500
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		var b strings.Builder
		for i := page * size; i < min(n, (page+1)*size); i++ {
			at := end.Add(time.Duration(i-n) * time.Minute).UTC()
			fmt.Fprintf(&b, `,{"id":%d,"text":"some words about %d","updated_at":%q}`, i, i, at.Format(time.RFC3339))
		}
		_, _ = io.WriteString(w, `{"data":[`+strings.TrimPrefix(b.String(), ",")+`]}`)
	}))
	t.Cleanup(api.Close)
	s := (&whole{api}).stream()
	s.Ingest.Paginate = pipeline.Paginate{Page: &pipeline.PageNumber{Param: "page", Stop: pipeline.StopRule{When: "empty"}}}
	s.Ingest.Concurrency = 8
	return s
}

// TestStateBytes counts what a million new records would write to the state topic, before compaction.
func TestStateBytes(t *testing.T) {
	t.Parallel()
	const n = 40_000
	for name, c := range map[string]struct {
		incremental bool
		most        float64 // bytes per record
	}{
		"back-fill of an incremental stream": {true, 3},
		"stream that is fetched whole":       {false, 19},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := testkafka.New(t)
			s := history(t, n, time.Now())
			if c.incremental {
				s.Ingest.Incremental = &pipeline.Incremental{Field: "updated_at", Param: "since", Lookback: time.Hour, Format: "rfc3339"}
			}
			cfg := testConfig()
			cfg.CommitInterval = 100 * time.Millisecond
			r := start(t, newPipeline(cluster.ListenAddrs(), s), "one", cfg)
			r.awaitPass(t)
			r.stop()
			var segments, cursors, records int
			for _, rec := range testkit.Records(t, cluster.ListenAddrs(), "shop.ingest.state") {
				records++
				if bytes.ContainsRune(rec.Key, 0) {
					segments += len(rec.Key) + len(rec.Value)
				} else {
					cursors += len(rec.Key) + len(rec.Value)
				}
			}
			t.Logf("%d bytes of segments and %d of cursors in %d records: %.1f MB and %.1f MB per million records",
				segments, cursors, records, float64(segments)/n, float64(cursors)/n)
			if each := float64(segments) / n; each > c.most {
				t.Errorf("%.1f bytes per record, want at most %.0f", each, c.most)
			}
		})
	}
}
