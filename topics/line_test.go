package topics_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// TestLineOf: a line reads the raw topic of the pipeline, and shares nothing else with it or with another line, however
// the streams are called: processors are fenced by how their transactional ids begin.
func TestLineOf(t *testing.T) {
	p := &pipeline.Pipeline{Name: "shop", Kafka: pipeline.Kafka{Partitions: 1, MaxRecordBytes: 1}}
	for _, name := range []string{"orders", "processor", "replay", "ingest", "sweep", "g2", "g3", "control"} {
		p.Streams = append(p.Streams, pipeline.Stream{Name: name, Sink: pipeline.Sink{Table: name}})
	}
	used, prefixes := map[string]string{}, map[string]string{}
	note := func(all map[string]string, name, whose string) {
		t.Helper()
		if other, twice := all[name]; twice && other != whose {
			t.Errorf("%s is of %s and of %s", name, other, whose)
		}
		all[name] = whose
	}
	all := []*pipeline.Pipeline{p}
	for i := range p.Streams {
		for _, number := range []uint16{2, 3} {
			l := topics.LineOf(p, &p.Streams[i], number, "t__g")
			if raw := topics.RawOf(l, p.Streams[i].Name); raw != topics.Raw("shop", p.Streams[i].Name) {
				t.Errorf("%s reads %s", l.Name, raw)
			}
			if name := l.Streams[0].Sink.Name(); name != "t__g" || p.Streams[i].Sink.Name() == name {
				t.Errorf("the tables are %s and %s", name, p.Streams[i].Sink.Name())
			}
			all = append(all, l)
		}
	}
	for _, p := range all {
		for _, s := range topics.Specs(p) {
			if !strings.HasSuffix(s.Topic, ".raw") {
				note(used, s.Topic, p.Name)
			}
		}
		for _, group := range []string{topics.ProcessorGroup(p.Name), topics.SinkGroup(p.Name), topics.IngestGroup(p.Name)} {
			note(used, group, p.Name)
		}
		note(prefixes, topics.ProcessorTransactionalIDs(p.Name), p.Name)
		for _, s := range p.Streams {
			note(used, topics.ReplayGroup(p.Name, s.Name), p.Name)
			note(prefixes, topics.ReplayTransactionalIDs(p.Name, s.Name), p.Name)
		}
	}
	for prefix, whose := range prefixes {
		for other, of := range prefixes {
			if whose != of && strings.HasPrefix(other, prefix) {
				t.Errorf("who fences %s* of %s fences %s of %s too", prefix, whose, other, of)
			}
		}
	}
	if specs := topics.Specs(all[1]); slices.ContainsFunc(specs, func(s topics.Spec) bool { return strings.Contains(s.Topic, "ingest") }) {
		t.Errorf("a line has topics of ingest: %v", specs)
	}
}
