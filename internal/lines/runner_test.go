package lines

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// TestASwapLeavesProcessors: a swap gives a line's table another name, for which sinks begin it again. Processors go
// on.
func TestASwapLeavesProcessors(t *testing.T) {
	cluster := testkafka.New(t)
	opts := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	p := &pipeline.Pipeline{
		Name: "p", Kafka: pipeline.Kafka{Partitions: 1, Replication: 1, MaxRecordBytes: 1 << 20},
		Streams: []pipeline.Stream{{Name: "s", Ingest: pipeline.Ingest{Key: []string{"id"}}, Sink: pipeline.Sink{Table: "t"}}},
	}
	if err := admin.Ensure(t.Context(), kadm.NewClient(testkafka.Client(t, cluster)), topics.Specs(p)); err != nil {
		t.Fatal(err)
	}
	decide := func(f func(*control.Stream)) {
		t.Helper()
		_, err := control.Change(t.Context(), control.Config{Pipeline: "p", Who: "test", Client: opts}, "s", func(s *control.Stream) error {
			f(s)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	decide(func(s *control.Stream) {
		s.Lines = []control.Line{
			{Number: 1, State: control.LineLive, Table: "t__g1"},
			{Number: 2, State: control.LineBuilding, Table: "t__g2", Definition: p.Streams[0].Definition(), BuiltAt: time.Now()},
		}
	})
	keys := func(name string) (before, after string) {
		t.Helper()
		r := NewRunner(name, p, stage.Env{Kafka: opts, Health: &stage.Health{}}, &Metrics{}, nil)
		defer r.view.Close()
		look := func() string {
			t.Helper()
			if _, err := r.view.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			w, ok := r.wanted()[topics.LineName("p", "s", 2)]
			if !ok {
				t.Fatal("line 2 is not wanted")
			}
			return w.key
		}
		before = look()
		decide(func(s *control.Stream) { s.Swapped(2) })
		after = look()
		decide(func(s *control.Stream) { s.Swapped(1) })
		return before, after
	}
	if before, after := keys("processor"); before != after {
		t.Errorf("processors begin the line again: %q, %q", before, after)
	}
	if before, after := keys("sink"); before == after {
		t.Errorf("sinks continue with the table of before: %q", before)
	}
}
