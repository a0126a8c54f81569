package reset_test

import (
	"maps"
	"testing"

	"github.com/millrace-io/millrace/internal/reset"
	"github.com/millrace-io/millrace/pipeline"
)

// TestAChildStreamIsReset: everything is fetched for each record of its parent again, also for one that comes
// afterwards, and the parent is left as it is.
func TestAChildStreamIsReset(t *testing.T) {
	s := newShop(t)
	shops := s.stream("shops")
	shops.Ingest.Path, shops.Ingest.Slices, shops.Ingest.Key = "/shops/all", nil, []string{"text"}
	child := s.stream("items")
	child.Ingest.Path, child.Ingest.Slices, child.Ingest.Every = "/items/{shops.text}", nil, 0
	child.Ingest.ForEach = &pipeline.ForEach{Parent: "shops"}
	s.items["all"] = map[int]string{1: "a", 2: "b"}
	s.p.Streams = []pipeline.Stream{child, shops, s.stream("other")}
	s.cfg.Stream = &s.p.Streams[0]
	s.ensure()
	f := s.fetch("one")
	s.awaitRaw("items", want(0, 20, "1"))
	sweep := s.run(reset.Options{Sweep: true})
	s.change(func() {
		s.items["all"][3] = "c"
		s.items["c"] = map[int]string{20: "x"}
		delete(s.items["a"], 4)
	})
	s.awaitPass(sweep)
	raw := want(0, 20, "2")
	s.await("the records again", func() bool {
		got := s.raw("items")
		delete(got, "4")
		delete(raw, "4")
		raw["20"] = "1"
		return maps.Equal(got, raw)
	})
	known, err := reset.Cursors(s.ctx(), s.cfg)
	if err != nil || len(known) != 3 {
		t.Errorf("cursors %v, error %v", known, err)
	}
	for key, c := range known {
		if !c.Complete(sweep.Pass) {
			t.Errorf("%s is not complete above pass %d: %+v", key, sweep.Pass, c)
		}
	}
	f.stop()
	for key, times := range s.raw("shops") {
		if times != "1" {
			t.Errorf("the parent's record %s was written %s times", key, times)
		}
	}
}
