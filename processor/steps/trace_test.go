package steps_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor/steps"
)

// TestTrace: the record is told after every step that let it through.
func TestTrace(t *testing.T) {
	s := &pipeline.Stream{
		Name: "orders", Ingest: pipeline.Ingest{Key: []string{"id"}},
		Process: []pipeline.Step{
			{Filter: &pipeline.Filter{If: `status != "draft"`}},
			{Map: []pipeline.Column{{Name: "id", Expr: "id"}, {Name: "cents", Expr: "total * 100"}}},
			{Filter: &pipeline.Filter{If: "cents > 0"}},
			{Map: []pipeline.Column{{Name: "order_id", Expr: "id"}, {Name: "cents", Expr: "cents"}}},
		},
		Sink: pipeline.Sink{Columns: []pipeline.ColumnType{{Name: "order_id", Type: "bigint", Key: true}, {Name: "cents", Type: "bigint"}}},
	}
	plain := &pipeline.Stream{Name: "plain", Ingest: s.Ingest, Sink: pipeline.Sink{Columns: []pipeline.ColumnType{{Name: "id", Type: "bigint", Key: true}}}}
	for name, c := range map[string]struct {
		stream       *pipeline.Stream
		record, want string
		rows         int
	}{
		"through": {s, `{"id":1,"status":"new","total":2}`, `process[0].filter {"id":1,"status":"new","total":2}
process[1].map {"id":1,"cents":200}
process[2].filter {"id":1,"cents":200}
process[3].map {"order_id":1,"cents":200}`, 1},
		"refused by the first filter": {s, `{"id":1,"status":"draft","total":2}`, "", 0},
		"refused later": {s, `{"id":1,"status":"new","total":0}`, `process[0].filter {"id":1,"status":"new","total":0}
process[1].map {"id":1,"cents":0}`, 0},
		"no steps": {plain, `{"id":1,"more":2}`, `sink.columns {"id":1}`, 1},
	} {
		chain, err := steps.Compile(c.stream)
		if err != nil {
			t.Fatal(err)
		}
		out, seen, err := chain.Runner().Trace(nil, []byte(c.record), nil)
		if err != nil || len(out.Rows) != c.rows {
			t.Errorf("%s: %d rows, %v", name, len(out.Rows), err)
		}
		var got []string
		for _, x := range seen {
			got = append(got, x.Label+" "+string(x.Value))
		}
		if d := cmp.Diff(c.want, strings.Join(got, "\n")); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
