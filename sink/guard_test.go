package sink

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

// spread is a batch of one record in each of n partitions, which the fixture's writer has claimed.
func (f *fixture) spread(n int) *batch {
	f.t.Helper()
	j := &job{records: n}
	for i := range n {
		c := &claim{topic: topic, partition: int32(i), table: f.table}
		if err := f.store.claim(f.t.Context(), c, noLog, f.writer.session.ID); err != nil {
			f.t.Fatal(err)
		}
		v := topics.NewVersion(0, 0, int64(i), topics.FirstGeneration)
		value, _ := json.Marshal(map[string]any{"id": fmt.Sprint(i), "n": i})
		j.polled = append(j.polled, polled{c, c.next, []*kgo.Record{{
			Topic: topic, Partition: int32(i), Offset: c.next, Key: fmt.Append(nil, i), Value: value,
			Headers: []kgo.RecordHeader{{Key: topics.HeaderVersion, Value: v[:]}},
		}}})
	}
	return newBatch(rows.NewDecoder(), j)
}

// manyPartitions: a transaction of many partitions moves each offset, or none; who missed is named.
func manyPartitions(t *testing.T, p *pipeline.Pipeline) {
	t.Helper()
	f := newFixture(t, p, false)
	n := placesAtOnce + 1
	b := f.spread(n)
	taken := []int{0, 7, n - 1}
	var want []string
	for _, i := range taken {
		c := &claim{topic: topic, partition: int32(i), table: f.table}
		if err := f.store.claim(t.Context(), c, noLog, 0); err != nil {
			t.Fatal(err)
		}
		want = append(want, c.String())
	}
	_, err := f.writer.apply(t.Context(), b)
	fenced, ok := errors.AsType[*FencedError](err)
	if !ok || !slices.Equal(fenced.Partitions, want) {
		t.Fatalf("%v, want that %q are fenced", err, want)
	}
	if got := f.column("n"); len(got) != 0 {
		t.Errorf("%d rows of a transaction that was fenced", len(got))
	}
	for i := range b.moves {
		if slices.Contains(want, b.moves[i].claim.String()) {
			b.moves[i].claim.revoked.Store(true)
		}
	}
	b.drop()
	if _, err := f.writer.apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	got := f.column("n")
	for i := range n {
		if value := got[fmt.Sprint(i)]; value == "" != slices.Contains(taken, i) {
			t.Errorf("partition %d: its row is %q", i, value)
		}
	}
	var moved int
	if err := f.store.db.QueryRow("SELECT COUNT(*) FROM millrace_offsets WHERE next_offset = 1").Scan(&moved); err != nil || moved != n-len(taken) {
		t.Errorf("%d offsets moved, %v; want %d", moved, err, n-len(taken))
	}
}
