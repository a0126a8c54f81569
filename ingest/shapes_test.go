package ingest_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// TestShapes: however an API writes its records, each is a raw record of its own, with its key; what was guessed is
// told once.
func TestShapes(t *testing.T) {
	t.Parallel()
	many := make([]string, 25_000) // more than are kept as they were read
	for i := range many {
		many[i] = fmt.Sprintf(`"v%d"`, i)
	}
	type reply struct{ kind, body string }
	replies := map[string]reply{
		"/keyed":    {"application/json", `{"data":{"k1":{"a":1},"k2":{"a":2}}}`},
		"/rates":    {"application/json", `{"EUR":1.08,"GBP":1.27}`},
		"/object":   {"application/json", `{"id":"one","temp":3}`},
		"/tags":     {"application/json", `{"data":["a","b"]}`},
		"/many":     {"application/json", `{"data":[` + strings.Join(many, ",") + `]}`},
		"/lines":    {"application/x-ndjson; charset=utf-8", "{\"id\":\"l1\"}\n{\"id\":\"l2\"}\n"},
		"/declared": {"text/plain", "{\"id\":\"l1\"}\n{\"id\":\"l2\"}\n"},
		"/latin":    {"application/json; charset=iso-8859-1", "[{\"id\":\"gr\xfcn\"}]"},
		"/map":      {"application/json", `{"data":{"x":{"id":"m1"},"y":{"id":"m2"}}}`},
		"/error":    {"application/json", `{"id":"req-1","error":"quota"}`},
	}
	a := newAPI(t, 0)
	a.intercept(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		got := replies[r.URL.Path]
		w.Header().Set("Content-Type", got.kind)
		_, _ = io.WriteString(w, got.body)
		return true
	})
	stream := func(name string, records []string, shape pipeline.Shape) pipeline.Stream {
		s := a.stream(name, pipeline.Paginate{})
		s.Ingest.Records, s.Ingest.Shape = records, shape
		return s
	}
	data := []string{"data"}
	declared := stream("declared", nil, pipeline.Shape{})
	declared.Ingest.BodyFormat = "ndjson"
	streams := []pipeline.Stream{
		stream("keyed", data, pipeline.Shape{Kind: pipeline.ShapeMap, KeyAs: "id", As: "value"}),
		stream("rates", nil, pipeline.Shape{Kind: pipeline.ShapeMap, KeyAs: "id", As: "rate"}),
		stream("object", nil, pipeline.Shape{As: "id"}),
		stream("tags", data, pipeline.Shape{Kind: pipeline.ShapeValues, As: "id"}),
		stream("many", data, pipeline.Shape{As: "id"}),
		stream("lines", nil, pipeline.Shape{As: "id"}), declared,
		stream("latin", nil, pipeline.Shape{As: "id"}),
		stream("map", data, pipeline.Shape{As: "id"}),
	}
	c := testkafka.New(t)
	failing := stream("error", nil, pipeline.Shape{As: "id"})
	r := start(t, newPipeline(c.ListenAddrs(), append(streams, failing)...), "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("all passes", func() bool {
		return r.metric(t, "millrace_ingest_passes_total") >= float64(len(streams)) && strings.Contains(r.Health.Waiting()["ingest"], "error is \"quota\"")
	}))
	r.stop()
	for name, want := range map[string][]string{
		"keyed": {`k1={"id":"k1","a":1}`, `k2={"id":"k2","a":2}`}, "rates": {`EUR={"id":"EUR","rate":1.08}`, `GBP={"id":"GBP","rate":1.27}`},
		"object": {`one={"id":"one","temp":3}`}, "tags": {`a={"id":"a"}`, `b={"id":"b"}`},
		"lines": {`l1={"id":"l1"}`, `l2={"id":"l2"}`}, "declared": {`l1={"id":"l1"}`, `l2={"id":"l2"}`},
		"latin": {`grün={"id":"grün"}`}, "map": {`m1={"id":"m1"}`, `m2={"id":"m2"}`}, "error": nil,
	} {
		var got []string
		for _, rec := range testkit.Records(t, c.ListenAddrs(), "shop."+name+".raw") {
			got = append(got, string(rec.Key)+"="+string(rec.Value))
		}
		if slices.Sort(got); !cmp.Equal(want, got) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if n := len(testkit.Records(t, c.ListenAddrs(), "shop.many.raw")); n != len(many) {
		t.Errorf("%d records of many, want %d", n, len(many))
	}
	log := r.log.String()
	if n := strings.Count(log, "declare it in ingest.records"); n != 3 || !strings.Contains(log, `records="{map: data}"`) || !strings.Contains(log, `records="{object: $}"`) {
		t.Errorf("%d guesses are told, want 3:\n%s", n, log)
	}
}

// TestAnObjectIsNoRecordWhereArraysWere: an answer of another form is an error of the API, though it has a field of the
// key's name.
func TestAnObjectIsNoRecordWhereArraysWere(t *testing.T) {
	t.Parallel()
	a := newAPI(t, 0)
	a.intercept(func(n int, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		body := `[{"id":1},{"id":2}]`
		if n > 1 {
			body = `{"id":"req-7","message":"come back later"}`
		}
		_, _ = io.WriteString(w, body)
		return true
	})
	c := testkafka.New(t)
	s := a.stream("items", pipeline.Paginate{})
	s.Ingest.Records, s.Ingest.Every = nil, 1
	r := start(t, newPipeline(c.ListenAddrs(), s), "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("the stream says so", func() bool {
		return strings.Contains(r.Health.Waiting()["ingest"], "at the top in the answer there is no array")
	}))
	r.stop()
	if n := len(testkit.Records(t, c.ListenAddrs(), "shop.items.raw")); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}
