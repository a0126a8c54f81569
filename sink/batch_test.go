package sink

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

func keyTable(sqlType string) *table {
	return newTable(&pipeline.Pipeline{Name: "p"}, &pipeline.Stream{Name: "s", Sink: pipeline.Sink{Table: "things", Columns: []pipeline.ColumnType{
		{Name: "id", Type: sqlType, Key: true},
	}}})
}

func upsertOf(t *table, key string, raw int64) change {
	return change{table: t, record: &kgo.Record{Key: []byte(key)}, version: topics.NewVersion(0, 0, raw, 1), pk: []byte(key)}
}

func TestPartsKeepTheNewestGood(t *testing.T) {
	things := keyTable("varchar(20)")
	removed := upsertOf(things, "b", 9)
	removed.remove = true
	refused := upsertOf(things, "a", 7)
	refused.reason = errors.New("too long")
	all := parts([]change{
		upsertOf(things, "b", 2), upsertOf(things, "a", 5), refused, upsertOf(things, "a", 4), removed, upsertOf(things, "b", 3), upsertOf(things, "c", 1),
	})
	if len(all) != 1 {
		t.Fatalf("%d parts, want 1", len(all))
	}
	p := all[0]
	var got []string
	for _, x := range slices.Concat(p.upserts, p.removes) {
		got = append(got, fmt.Sprint(string(x.pk), x.version.Offset()))
	}
	if want := []string{"a5", "c1", "b9"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if !p.had["b"] || p.stale != 3 {
		t.Errorf("had %v, stale %d; want b among them, and 3", p.had, p.stale)
	}
}

func TestInKeyOrder(t *testing.T) {
	for sqlType, want := range map[string][]string{
		"bigint":      {"7", "9", "10", "100", "1000000000000000000", "1000000000000000001"},
		"varchar(20)": {"'a'", "'ab'", "'abcdefghij1'", "'abcdefghij10'", "'abcdefghij2'", "'b'"},
	} {
		things := keyTable(sqlType)
		var changes []*change
		for _, i := range []int{3, 0, 5, 1, 4, 2} {
			x := upsertOf(things, want[i], 1)
			changes = append(changes, &x)
		}
		inKeyOrder(changes)
		var got []string
		for _, x := range changes {
			got = append(got, string(x.pk))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", sqlType, got, want)
		}
	}
}

func TestJobsAreBounded(t *testing.T) {
	s := &Sink{cfg: DefaultConfig()}
	s.cfg.MaxRecords, s.cfg.MaxBatchBytes = 10, 1000
	a, b := &claim{topic: "a"}, &claim{topic: "b"}
	var records []*kgo.Record
	for i := range 25 {
		records = append(records, &kgo.Record{Offset: int64(i), Value: make([]byte, 10)})
	}
	records[20].Value = make([]byte, 5000) // larger than a batch: in one all the same
	var polled []claimed
	polled = extend(polled, claimed{a, 0, records[:8]})
	polled = extend(polled, claimed{b, 0, records})
	polled = extend(polled, claimed{a, 8, records[8:10]}) // a second part of the same partition
	queue := s.jobs(polled)
	var sizes []int
	for _, j := range queue {
		sizes = append(sizes, j.records)
	}
	if want := []int{10, 10, 10, 1, 4}; !slices.Equal(sizes, want) {
		t.Errorf("jobs of %d records, want %d", sizes, want)
	}
	for _, j := range queue {
		seen := map[*claim]int{}
		for _, p := range j.parts {
			seen[p.claim]++
		}
		if seen[a] > 1 || seen[b] > 1 {
			t.Errorf("a partition is in a job %v times", seen)
		}
	}
	pieces := queue[0].pieces(4)
	if len(pieces) != 3 || pieces[2].records != 2 {
		t.Errorf("%d pieces, want 3", len(pieces))
	}
}

// TestJobsHaveEveryPartition: two partitions share each job, and all their records are there, in order.
func TestJobsHaveEveryPartition(t *testing.T) {
	s := &Sink{cfg: DefaultConfig()}
	s.cfg.MaxRecords = 1000
	want := map[*claim][]*kgo.Record{{part: 1}: nil, {part: 2}: nil}
	var polled []claimed
	for c := range want {
		for i := range 2100 {
			want[c] = append(want[c], &kgo.Record{Offset: int64(2 * i)})
		}
		polled = append(polled, claimed{c, 0, want[c]})
	}
	got, next := map[*claim][]*kgo.Record{}, map[*claim]int64{}
	for _, j := range s.jobs(polled) {
		if len(j.parts) != 2 {
			t.Errorf("%d partitions in a job", len(j.parts))
		}
		for _, p := range j.parts {
			if p.from != next[p.claim] {
				t.Errorf("a job begins at %d, and the one before it ends at %d", p.from, next[p.claim])
			}
			got[p.claim] = append(got[p.claim], p.records...)
			next[p.claim] = p.records[len(p.records)-1].Offset + 1
		}
	}
	for c := range want {
		if !slices.Equal(got[c], want[c]) {
			t.Errorf("partition %d: %d records, or in another order; want %d", c.part, len(got[c]), len(want[c]))
		}
	}
}

func TestConfigBounds(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if err := (Config{}).Validate(); err == nil {
		t.Error("a Config without values is taken")
	}
}
