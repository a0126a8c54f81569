package ingest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/pipeline"
)

// TestLastRecordsFieldIsGivenToThePager, from a page in memory and from one in a file.
func TestLastRecordsFieldIsGivenToThePager(t *testing.T) {
	for name, c := range map[string]struct {
		body, want string
		memory     int64
	}{
		"memory":     {`[{"id":1},{"id":22}]`, `22`, 1 << 20},
		"file":       {`[{"id":1},{"id":22},{"id":3}]`, `3`, 0},
		"no records": {`[]`, "", 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := fetch.NewMemory(c.memory, c.memory, t.TempDir()).Receive(strings.NewReader(c.body), -1)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			stream := &pipeline.Stream{Name: "s", Ingest: pipeline.Ingest{Key: []string{"id"}}}
			client := fetch.NewClient(stream.Ingest.HTTP, http.DefaultTransport, nil, nil)
			r, err := newReader(stream, paginate.Wants{Last: []string{"id"}}, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			p := &page{slice: &slice{stream: stream, client: client, reader: r}}
			if err := r.read(&fetch.Answer{Body: body}, p); err != nil || string(p.summary.Last) != c.want {
				t.Errorf("field of the last record %q (%v), want %q", p.summary.Last, err, c.want)
			}
		})
	}
}
