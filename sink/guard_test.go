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

// claims are new ones on n partitions, which the fixture's writer writes.
func (f *fixture) claims(n int) []*claim {
	f.t.Helper()
	out, bids := make([]*claim, n), make([]*bid, n)
	for i := range out {
		out[i] = &claim{topic: topic, partition: int32(i), table: f.table}
		bids[i] = &bid{claim: out[i], bounds: noLog, connection: f.writer.session.ID}
	}
	if err := f.store.claim(f.t.Context(), bids); err != nil {
		f.t.Fatal(err)
	}
	return out
}

// spread is a batch of one record in each of n partitions, which the fixture's writer has claimed.
func (f *fixture) spread(n int) *batch {
	f.t.Helper()
	j := &job{records: n}
	for i, c := range f.claims(n) {
		v := topics.NewVersion(0, 0, int64(i), 1)
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
		if err := f.store.claimOne(t.Context(), c, noLog, 0); err != nil {
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

// manyClaims: a claim of many partitions takes all but those whose position is lost, and a release gives up what is
// still ours.
func manyClaims(t *testing.T, p *pipeline.Pipeline) {
	t.Helper()
	f := newFixture(t, p, false)
	n := placesAtOnce + 1
	var bids []*bid
	for i := range n {
		bids = append(bids, &bid{claim: &claim{topic: topic, partition: int32(i), table: f.table}, bounds: noLog})
	}
	if err := f.store.claim(t.Context(), bids); err != nil {
		t.Fatal(err)
	}
	if _, err := f.store.db.Exec("UPDATE millrace_offsets SET next_offset = part + 100"); err != nil {
		t.Fatal(err)
	}
	mine := f.claims(n)
	for i, c := range mine {
		if c.next != int64(i+100) || c.polled != c.next || c.connection != f.writer.session.ID {
			t.Fatalf("partition %d continues at %d and %d, by connection %d", i, c.next, c.polled, c.connection)
		}
	}
	for _, b := range bids {
		b.bounds.start = 105 // past the first five
	}
	if err := f.store.claim(t.Context(), bids); err != nil {
		t.Fatal(err)
	}
	owned := func(token [16]byte) (n int) {
		t.Helper()
		if err := f.store.db.QueryRow("SELECT COUNT(*) FROM millrace_offsets WHERE owner = ?", token[:]).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i, b := range bids {
		lost := i < 5
		if b.lost != nil != lost || owned(mine[i].token) == 1 != lost || owned(b.token) == 1 == lost {
			t.Errorf("partition %d: lost %v; the old owner has %d rows, the new one %d", i, b.lost, owned(mine[i].token), owned(b.token))
		}
	}
	if err := f.store.release(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := f.store.db.QueryRow("SELECT COUNT(*) FROM millrace_offsets WHERE owner IS NOT NULL").Scan(&left); err != nil || left != n-5 {
		t.Errorf("%d partitions have an owner after the old one released its own, %v; want %d", left, err, n-5)
	}
}
