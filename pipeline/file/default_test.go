package file

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// What is absent takes the default of its tag, which is what editors say it is.
func TestAbsentKeysTakeTheirDefaults(t *testing.T) {
	p, err := Parse("p.yaml", []byte(`
pipeline: p
http: {base_url: "http://h", rate_limit: {requests: 5}}
streams:
  page:   {ingest: {path: /a, key: id, paginate: {page: {param: p}}}, sink: {columns: {id: bigint key}}}
  offset: {ingest: {path: /b, key: id, paginate: {offset: {param: o, limit: 9}}}, sink: {columns: {id: bigint key}}}
  link:   {ingest: {path: /c, key: id, paginate: {link: {}}, incremental: {field: at, param: since}}, sink: {columns: {id: bigint key}}}
  word:   {ingest: {path: /d, key: id, paginate: link, timeout: 5s}, process: [filter: {if: a}], sink: {columns: {id: bigint key}}}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	page, offset, link, word := p.Streams[0].Ingest, p.Streams[1].Ingest, p.Streams[2].Ingest, p.Streams[3]
	for _, c := range []struct{ got, want any }{
		{p.DataDir, ".millrace/p"},
		{p.Kafka.Embedded, true},
		{p.Database.Embedded, true},
		{p.Kafka.Partitions, int32(6)},
		{p.Kafka.Replication, int16(-1)},
		{p.Kafka.RawRetention, time.Duration(0)},
		{p.Kafka.Retention, 168 * time.Hour},
		{p.Kafka.MaxRecordBytes, int32(1 << 20)},
		{page.HTTP.Timeout, 30 * time.Second},
		{page.HTTP.Retry.Initial, 500 * time.Millisecond},
		{page.HTTP.Retry.Max, time.Minute},
		{page.HTTP.Retry.Attempts, 10},
		{page.HTTP.RateLimit.Per, time.Second},
		{page.HTTP.RateLimit.Burst, 1},
		{page.Every, time.Duration(0)},
		{page.Concurrency, 8},
		{page.Paginate.Page.Start, int64(1)},
		{page.Paginate.Page.Stop.When, "empty"},
		{offset.Paginate.Offset.Start, int64(0)},
		{offset.Paginate.Offset.Stop.When, "empty"},
		{page.EmptyPages, 100},
		{page.NullIsEmpty, false},
		{page.ErrorWhen, ""},
		{link.Paginate.Link.Rel, "next"},
		{link.Incremental.Lookback, time.Duration(0)},
		{link.Incremental.Format, ""},
		{word.Ingest.Paginate.Link.Rel, "next"},
		{word.Ingest.HTTP.Timeout, 5 * time.Second},
		{word.Process[0].Filter.Once, false},
		{word.Sink.Table, "word"},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("default %v, want %v", c.got, c.want)
		}
	}
}

// A default that a tag names is one that its kind of value can be, and within the bounds beside it.
func TestDefaultsOfTagsAreValues(t *testing.T) {
	seen := map[reflect.Type]bool{}
	found := 0
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		for name, known := range fieldsOf(typ).byName {
			at := reflect.New(known.typ)
			value := known.tag.Get("default")
			switch a, ok := reflect.TypeAssert[assumer](at); {
			case value == "" || strings.Contains(value, "<"):
			case !ok:
				t.Errorf("%s.%s: %s has no defaults", typ.Name(), name, known.typ)
			default:
				found++
				if err := a.assume(value); err != nil {
					t.Errorf("%s.%s: default %q: %v", typ.Name(), name, value, err)
				}
				words := known.tag.Get("words")
				if words != "" && !strings.Contains(" "+words+" ", " "+value+" ") {
					t.Errorf("%s.%s: default %q is not one of %s", typ.Name(), name, value, words)
				}
			}
			if n, ok := reflect.TypeAssert[nester](at); ok {
				for _, inner := range n.nested() {
					walk(inner.Type())
				}
			}
		}
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[pipelineFile](), reflect.TypeFor[streamFile](), reflect.TypeFor[stepFile]()} {
		walk(typ)
	}
	if found < 20 {
		t.Errorf("only %d defaults found", found)
	}
}
