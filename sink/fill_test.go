package sink

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/sink/sorted"
)

// filler fills the table of a fixture, as a sink does whose processors have come to the end.
type filler struct {
	*fixture
	letters map[int64]bool // by processed offset
}

// errDied ends a fill as a death does: nothing is left of it but what it has committed.
var errDied = errors.New("died")

// write is one transaction of a fill, tried until it is written.
func (f *filler) write(j *job) {
	f.t.Helper()
	b := newBatch(rows.NewDecoder(), j)
	f.applied(b)
	for x := range b.refused() {
		f.letters[x.Record.Offset] = true
	}
	b.moves[0].committed()
}

// fill writes records from the claim's position on, of which a transaction has at most so many, and dies after so many
// transactions; less than 0: never.
func (f *filler) fill(records []*kgo.Record, most, dies int) error {
	f.t.Helper()
	x := &fill{topic: topic, table: f.table, claims: map[int32]*claim{0: f.claim}, sorter: sorted.New(topic, f.t.TempDir(), 4<<10), decoder: rows.NewDecoder()}
	defer func() { _ = x.sorter.Close() }()
	x.read(f.claim, records)
	m, err := x.sorter.Merge()
	if err = errors.Join(err, x.err); err != nil {
		f.t.Fatal(err)
	}
	start := f.claim.next
	for n := 0; ; n++ {
		if n == dies {
			return errDied
		}
		j := &job{}
		if err := x.next(m, j, most, DefaultConfig()); err != nil {
			f.t.Fatal(err)
		}
		if j.records == 0 {
			break
		}
		f.write(j)
		if at := f.position(); at != start || f.claim.next != start {
			f.t.Fatalf("the position is %d, and the claim's %d, before the end: want %d", at, f.claim.next, start)
		}
	}
	j := &job{}
	if !x.last(j) {
		f.t.Fatal("nothing moves at the end")
	}
	f.write(j)
	return nil
}

func (f *filler) position() (next int64) {
	f.t.Helper()
	if err := f.store.db.QueryRow("SELECT next_offset FROM millrace_offsets").Scan(&next); err != nil {
		f.t.Fatal(err)
	}
	return next
}

// fills: a random history is written in the order of the topic, and in that of the keys, by sinks that die after any
// number of transactions, while more comes. Tables and letters are the same, the position is at the end, and whatever
// is sent through again changes nothing.
func fills(t *testing.T, open func(*testing.T) *pipeline.Pipeline, versioned bool) {
	seed := rand.Uint64()
	dice := rand.New(rand.NewPCG(seed, 1))
	m := &model{good: map[int64]bool{}}
	var events []event
	for range 120 {
		events = append(events, m.next(dice, versioned))
	}
	for range 60 { // what was processed again, or sent twice
		events = append(events, events[dice.IntN(120)])
	}
	plain := &filler{newFixture(t, open(t), versioned), map[int64]bool{}}
	for at := 0; at < len(events); {
		n := min(1+dice.IntN(6), len(events)-at)
		j := plain.job(events[at : at+n]...)
		plain.write(j)
		at += n
	}
	f := &filler{newFixture(t, open(t), versioned), map[int64]bool{}}
	records := f.job(events...).polled[0].records
	upTo := len(records) // by then the processors have come to the end
	if dice.IntN(3) == 0 {
		upTo = len(records)/2 + dice.IntN(len(records)/2)
	}
	for range dice.IntN(8) {
		read := upTo/2 + dice.IntN(upTo/2)
		if f.fill(records[:read], 1+dice.IntN(5)*dice.IntN(2), dice.IntN(read/5)) == nil {
			t.Fatal("it came to its end")
		}
		f.claim = f.newClaim()
	}
	if f.claim.next == 0 {
		if err := f.fill(records[:upTo], 1+dice.IntN(5)*dice.IntN(2), -1); err != nil {
			t.Fatal(err)
		}
	}
	if rest := records[f.claim.next:]; len(rest) > 0 { // in the order of the topic
		f.write(&job{polled: []polled{{f.claim, f.claim.next, rest}}, records: len(rest)})
	}
	if at := f.position(); at != int64(len(records)) {
		t.Errorf("seed %d: the position is %d, want %d", seed, at, len(records))
	}
	f.same(plain, m, seed)
	for range 3 {
		again := slices.Clone(events)
		dice.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		for _, e := range again {
			if m.good[e.raw] {
				f.apply(e)
			}
		}
		f.same(plain, m, seed)
	}
}

// same compares tables and letters with those that were made in the order of the topic.
func (f *filler) same(plain *filler, m *model, seed uint64) {
	f.t.Helper()
	want := m.rows()
	for name, got := range map[string]map[string]string{"in key order": f.column("note"), "in the topic's order": plain.column("note")} {
		if !maps.Equal(got, want) {
			f.t.Fatalf("seed %d: %s\nrows %v\nwant %v", seed, name, got, want)
		}
	}
	// MySQL is not asked for what is superseded in a batch
	if f.store.dialect.Name() == "SQLite" && !maps.Equal(f.letters, plain.letters) {
		f.t.Fatalf("seed %d: letters of %v, want %v", seed, f.letters, plain.letters)
	}
}

// fillsUnanswered: whether a COMMIT happened cannot be told from a position that stays, so what it had is written
// again.
func fillsUnanswered(t *testing.T, open func(*testing.T) *pipeline.Pipeline) {
	f := newFixture(t, open(t), false)
	j := f.job(event{0, 0, "a", row(0)}, event{1, 0, "b", nil})
	j.filling = &filling{}
	b := newBatch(rows.NewDecoder(), j)
	for _, what := range []string{"before", "after"} {
		if happened, err := f.writer.committed(t.Context(), b); err != nil || happened {
			t.Errorf("%s: committed says %v, %v; want that it is written again", what, happened, err)
		}
		if _, err := f.writer.apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	f.want(map[string]string{"a": "0"})
	j = &job{polled: []polled{{claim: f.claim}}, filling: &filling{ends: map[*claim]end{f.claim: {next: 2}}}}
	b = newBatch(rows.NewDecoder(), j)
	if _, err := f.writer.apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if happened, err := f.writer.committed(t.Context(), b); err != nil || !happened {
		t.Errorf("the end: committed says %v, %v", happened, err)
	}
}

// fillsFenced: what a fill writes after another sink has taken the partition over is not written, at none of its
// transactions.
func fillsFenced(t *testing.T, open func(*testing.T) *pipeline.Pipeline) {
	f := newFixture(t, open(t), false)
	var events []event
	for i := range int64(6) {
		events = append(events, event{i, 0, fmt.Sprint(i), row(int(i))})
	}
	old := f.claim
	j := f.job(events...)
	x := &fill{table: f.table, claims: map[int32]*claim{0: old}, sorter: sorted.New(topic, t.TempDir(), 4<<10), decoder: rows.NewDecoder()}
	x.read(old, j.polled[0].records)
	m, err := x.sorter.Merge()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = x.sorter.Close() }()
	f.claim = f.newClaim()
	last := &job{}
	x.last(last)
	first := &job{}
	if err := x.next(m, first, 3, DefaultConfig()); err != nil {
		t.Fatal(err)
	}
	for _, j := range []*job{first, last} {
		_, err := f.writer.apply(t.Context(), newBatch(rows.NewDecoder(), j))
		if _, ok := errors.AsType[*FencedError](err); !ok {
			t.Errorf("%v, want a FencedError", err)
		}
	}
	f.want(map[string]string{})
	old.revoked.Store(true)
	if rest := (&job{}); x.next(m, rest, 3, DefaultConfig()) != nil || rest.records != 0 || x.last(rest) || x.lives() {
		t.Error("a claim that is lost continues")
	}
}

// fillsKeepOrder: of one key the order is that of the topic, even where each of its records has a transaction of its
// own: a removal finds the row, and leaves a mark, which keeps out what is sent again after it.
func fillsKeepOrder(t *testing.T, open func(*testing.T) *pipeline.Pipeline) {
	again := event{1, 0, "a", row(1)}
	for name, events := range map[string][]event{
		"removed":                 {{0, 0, "b", row(0)}, again, {2, 0, "a", nil}},
		"removed, and sent again": {{0, 0, "b", row(0)}, again, {2, 0, "a", nil}, again},
	} {
		f := &filler{newFixture(t, open(t), false), map[int64]bool{}}
		if err := f.fill(f.job(events...).polled[0].records, 1, -1); err != nil {
			t.Fatal(err)
		}
		if f.want(map[string]string{"b": "0"}); f.marks() != 1 {
			t.Errorf("%s: %d marks, want one", name, f.marks())
		}
		f.apply(again)
		f.want(map[string]string{"b": "0"})
	}
}
