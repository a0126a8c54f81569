package processor

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
)

// TestFieldsThatNoRecordHasAreTold: misspelled names, and a text without quotes; not those that may be absent.
func TestFieldsThatNoRecordHasAreTold(t *testing.T) {
	var log testkit.Buffer
	env := stage.Env{Instance: "a", Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: prometheus.NewRegistry(), Health: &stage.Health{}}
	p, err := New(&pipeline.Pipeline{Name: "p", Kafka: pipeline.Kafka{Partitions: 1, MaxRecordBytes: 1 << 20}, Streams: []pipeline.Stream{{
		Name: "s", Ingest: pipeline.Ingest{Key: []string{"id"}},
		Process: []pipeline.Step{
			{Filter: &pipeline.Filter{If: `status != draft and not (deleted ?? false) and not has(merged)`}},
			{Map: []pipeline.Column{
				{Name: "id", Expr: "id"}, {Name: "mail", Expr: "customer.emial"}, {Name: "late", Expr: "late"},
				{Name: "closed", Expr: "closed_at == null ? null : datetime(closed_at)"},
			}},
			{Map: []pipeline.Column{{Name: "id", Expr: "id"}, {Name: "mail", Expr: "mail"}, {Name: "late", Expr: "late"}, {Name: "closed", Expr: "closed"}}},
		},
		Sink: pipeline.Sink{Table: "t", Columns: []pipeline.ColumnType{
			{Name: "id", Type: "bigint", Key: true}, {Name: "mail", Type: "text"}, {Name: "late", Type: "int"}, {Name: "closed", Type: "datetime"},
		}},
	}}}, DefaultConfig(), env)
	if err != nil {
		t.Fatal(err)
	}
	s := p.streams["p.s.raw"]
	w := newWorker(s, newArena())
	process := func(n int, value string) {
		for i := range n {
			w.outcome(&kgo.Record{Topic: "p.s.raw", Offset: int64(i), Key: []byte("1"), Value: []byte(value)})
		}
	}
	record := `{"id":1,"status":"open","customer":{"email":"a"}}`
	process(enoughRecords-1, record)
	p.unseen(s, false)
	if got := log.String(); got != "" {
		t.Errorf("told after a few records: %s", got)
	}
	process(1, record)
	for range 3 {
		p.unseen(s, false)
	}
	for _, want := range []string{
		`process[0].filter: no record so far has the field draft (a text is written in quotes: \"draft\")`,
		`process[1].map.mail: no record so far has the field customer.emial`, `process[1].map.late: no record so far has the field late`,
	} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("the log tells %d times of %s, want once:\n%s", n, want, log.String())
		}
	}
	for _, not := range []string{"deleted", "merged", "closed", "status has", "field id"} {
		if strings.Contains(log.String(), "the field "+not) {
			t.Errorf("the log tells of %s, which is there or may be absent", not)
		}
	}
	process(1, `{"id":1,"status":"open","late":null,"draft":1,"customer":{"emial":"x"}}`)
	p.unseen(s, false)
	if got := fmt.Sprint(env.Health.Degraded()); got != "map[]" {
		t.Errorf("health still tells of %s", got)
	}
}
