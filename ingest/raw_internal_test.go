package ingest

import (
	"net/url"
	"runtime"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/pipeline"
)

// TestRawRecordsAllocateWhatIsThere: pages with one changed record each cost about what one page of many does.
func TestRawRecordsAllocateWhatIsThere(t *testing.T) {
	p := &page{
		slice:  &slice{in: &Ingest{p: &pipeline.Pipeline{Name: "shop"}}, stream: &pipeline.Stream{Name: "orders"}, name: "eu"},
		answer: &fetch.Answer{URL: &url.URL{}, Time: time.Now()}, id: "7.12", url: "https://api.example.com/orders?page=12",
	}
	rec := &record{key: []byte("1"), value: []byte("{}"), source: 5, hasSource: true}
	each := func(perPage int) float64 {
		const records = 1024
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var space rawSpace
		for i := 0; i < records; i += perPage {
			raw := newRawRecords(p, &space)
			for range perPage {
				raw.record(i, rec)
			}
		}
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc-before.TotalAlloc) / records
	}
	many, one := each(128), each(1)
	t.Logf("%.0f bytes per record in pages of 128, %.0f in pages of one", many, one)
	if one > many+1500 { // the headers that all records of a page share
		t.Errorf("%.0f bytes per record in pages of one, %.0f in pages of 128", one, many)
	}
}
