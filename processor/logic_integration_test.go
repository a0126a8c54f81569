//go:build integration

package processor_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
)

// TestRealChangeOfLogic: two processes run, and a third comes with another logic, while records come. Each record has
// one outcome; in each partition those of the old logic come first; and nobody takes the fence for a twin.
func TestRealChangeOfLogic(t *testing.T) {
	p, c, cl := onKafka(t, "processor-logic", 6)
	_, _ = kadm.NewClient(cl).DeleteGroups(t.Context(), topics.ProcessorGroup(p.Name))
	one, log := told(t, c, "one")
	run(t, p, quick(), one)
	run(t, p, quick(), env(t, c, "two"))
	const before, after, each = 150, 300, 50
	fed, half := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(fed)
		feed(t, cl, p, before, each, 6)
		close(half)
		feed(t, cl, p, after, each, 6)
	}()
	<-half
	testkit.Await(t, c.ListenAddrs(), 1, processed(p), letters(p)) // of the old logic
	changed := other(6)
	changed.Name = p.Name
	run(t, changed, quick(), env(t, c, "three"))
	<-fed
	settled(t, cl, p)
	n := (before + after) * each
	for range 60 { // the third process may have been there too late
		if versions(t, c, p)[[2]uint16{0, 2}] > 0 {
			break
		}
		feed(t, cl, p, 20, each, 6)
		settled(t, cl, p)
		n += 20 * each
	}
	outcomes := testkit.Await(t, c.ListenAddrs(), n, processed(p), letters(p))
	seen := map[[2]int64]bool{}
	newest := map[int32]uint16{}
	counts := map[uint16]int{}
	for _, r := range outcomes {
		at := [2]int64{int64(r.Partition), position(t, r)}
		if seen[at] {
			t.Fatalf("raw %v has two outcomes", at)
		}
		seen[at] = true
		header, ok := topics.Header(r, topics.HeaderVersion)
		if !ok {
			continue
		}
		v, err := topics.ParseVersion(header)
		if err != nil {
			t.Fatal(err)
		}
		if v.Generation() < newest[r.Partition] {
			t.Fatalf("partition %d: generation %d comes after %d", r.Partition, v.Generation(), newest[r.Partition])
		}
		newest[r.Partition] = v.Generation()
		counts[v.Generation()]++
	}
	if len(seen) != n || counts[1] == 0 || counts[2] == 0 || len(counts) != 2 {
		t.Errorf("%d outcomes, by generation %v", len(seen), counts)
	}
	if text := log.String(); len(text) > 0 {
		t.Logf("log of a process with the old file:\n%s", text)
	}
	if strings.Contains(log.String(), "--instance") {
		t.Error("the fence was taken for a twin")
	}
}
