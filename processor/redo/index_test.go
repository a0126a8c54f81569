package redo_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processor/redo"
	"github.com/millrace-io/millrace/topics"
)

// list is a log in memory. Offsets that it has not are of markers.
type list []*kgo.Record

func (l list) Read(_ context.Context, from, to int64, f func(*kgo.Record) error) error {
	for _, r := range l {
		if r.Offset < from || r.Offset >= to {
			continue
		}
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

func good(r *kgo.Record) bool { return string(r.Value) != "bad" }

// source is the version of a record, and whether it can be read.
func source(r *kgo.Record) (int64, bool) {
	h, ok := topics.Header(r, topics.HeaderSource)
	if !ok {
		return 0, true
	}
	n, err := strconv.ParseInt(string(h), 10, 64)
	return n, err == nil
}

// plain is what is to be marked, found without an index.
func plain(l list, r redo.Range) (marked []int64, keys, letters int) {
	byKey := map[string][]*kgo.Record{}
	for _, rec := range l {
		if rec.Offset >= r.Cut || r.Keys != nil && !r.Keys[string(rec.Key)] {
			continue
		}
		if _, ok := source(rec); !ok {
			if rec.Offset >= r.From && rec.Offset < r.To {
				marked = append(marked, rec.Offset)
				letters++
			}
			continue
		}
		byKey[string(rec.Key)] = append(byKey[string(rec.Key)], rec)
	}
	for _, all := range byKey {
		slices.SortFunc(all, func(a, b *kgo.Record) int {
			va, _ := source(a)
			vb, _ := source(b)
			return -cmp.Or(cmp.Compare(va, vb), cmp.Compare(a.Offset, b.Offset))
		})
		newest := all[0]
		if newest.Offset < r.From || newest.Offset >= r.To {
			continue
		}
		keys++
		marked = append(marked, newest.Offset)
		if !good(newest) {
			letters++
			if i := slices.IndexFunc(all, good); i >= 0 {
				marked = append(marked, all[i].Offset)
			}
		}
	}
	slices.Sort(marked)
	return marked, keys, letters
}

// history is a log that a seed makes, with a range in it.
func history(seed uint64) (list, redo.Range) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	n, keys := rnd.IntN(120), 1+rnd.IntN(30)
	versioned := rnd.IntN(2) == 0
	start := rnd.Int64N(70)
	var l list
	at := start
	for range n {
		if rnd.IntN(8) == 0 {
			at++ // a marker
		}
		r := &kgo.Record{Offset: at, Key: []byte(strconv.Itoa(rnd.IntN(keys))), Value: []byte("ok")}
		if rnd.IntN(3) == 0 {
			r.Value = []byte("bad")
		}
		if versioned && rnd.IntN(10) > 0 {
			r.Headers = topics.RawHeaders{Source: rnd.Int64N(9) - 4, HasSource: true}.Append(nil)
		}
		if rnd.IntN(40) == 0 {
			r.Headers = []kgo.RecordHeader{{Key: topics.HeaderSource, Value: []byte("x")}}
		}
		l = append(l, r)
		at++
	}
	cut := start + rnd.Int64N(at-start+1)
	from := start + rnd.Int64N(cut-start+1)
	r := redo.Range{
		Start: start, From: from, To: from + rnd.Int64N(cut-from+1), Cut: cut,
		Versioned: versioned, MaxKeys: 1 + rnd.IntN(2*keys),
	}
	if rnd.IntN(3) == 0 {
		r.From, r.To, r.Versioned = start, cut, versioned && rnd.IntN(2) == 0
	}
	if rnd.IntN(4) == 0 {
		r.Keys = map[string]bool{"0": true, "1": true, "none": true}
	}
	return l, r
}

// check compares an index with the plain model.
func check(t *testing.T, seed uint64) {
	t.Helper()
	l, r := history(seed)
	want, keys, letters := plain(l, r)
	m, err := redo.Build(t.Context(), r, l, good)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for at := int64(0); ; at++ {
		next, ok := m.Next(at)
		if !ok {
			break
		}
		if left := m.Left(at); left != m.Records-len(got) {
			t.Fatalf("seed %d: %d are left from %d, want %d", seed, left, at, m.Records-len(got))
		}
		got, at = append(got, next), next
	}
	for at := range r.Cut + 5 {
		if m.Has(at) != slices.Contains(want, at) {
			t.Fatalf("seed %d: offset %d is marked: %v; want %v, got %v; range %+v", seed, at, m.Has(at), want, got, r)
		}
	}
	if !slices.Equal(got, want) || m.Keys != keys || m.Letters != letters || m.Records != len(want) {
		t.Fatalf("seed %d: marked %v, %d keys, %d letters, %d records; want %v, %d, %d; range %+v",
			seed, got, m.Keys, m.Letters, m.Records, want, keys, letters, r)
	}
}

// TestIndexIsThePlainModel compares indexes of random logs, ranges and memory budgets with a search for each key.
func TestIndexIsThePlainModel(t *testing.T) {
	for seed := range uint64(20_000) {
		check(t, seed)
	}
}

func FuzzIndex(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { check(t, seed) })
}

// TestNewestIsALetter: the next older good record is marked too, be it below the range.
func TestNewestIsALetter(t *testing.T) {
	l := list{
		{Offset: 0, Key: []byte("a"), Value: []byte("1")},
		{Offset: 1, Key: []byte("b"), Value: []byte("1")},
		{Offset: 2, Key: []byte("a"), Value: []byte("2")},
		{Offset: 3, Key: []byte("a"), Value: []byte("bad")},
	}
	m, err := redo.Build(t.Context(), redo.Range{From: 3, To: 4, Cut: 4, MaxKeys: 10}, l, good)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(m.Next(0)) + fmt.Sprint(m.Left(0), m.Has(3), m.Keys, m.Letters); got != "2 true2 true 1 1" {
		t.Error(got)
	}
}

// many is a log of so many keys, each once.
type many int64

func (n many) Read(_ context.Context, from, to int64, f func(*kgo.Record) error) error {
	r := &kgo.Record{Value: []byte("ok")}
	for at := from; at < to; at++ {
		r.Offset, r.Key = at, strconv.AppendInt(r.Key[:0], at, 10)
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

// TestPassesOverTheBudget: more keys than fit are found in several passes, each key once.
func TestPassesOverTheBudget(t *testing.T) {
	const n = 20_000
	m, err := redo.Build(t.Context(), redo.Range{To: n, Cut: n, MaxKeys: n / 3}, many(n), good)
	if err != nil {
		t.Fatal(err)
	}
	if m.Keys != n || m.Records != n || m.Passes < 3 || m.Passes > 8 {
		t.Errorf("%d keys, %d records in %d passes", m.Keys, m.Records, m.Passes)
	}
}

// BenchmarkIndex tells the time for a record, and what a million keys take at most.
func BenchmarkIndex(b *testing.B) {
	const n = 1 << 20
	for b.Loop() {
		peak := uint64(0)
		log := peaks{n, &peak}
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		if _, err := redo.Build(b.Context(), redo.Range{To: n, Cut: n, MaxKeys: n}, log, good); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(peak-before.HeapAlloc)/n, "B/key")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}

// peaks measures the heap at the end of each read.
type peaks struct {
	many
	peak *uint64
}

func (p peaks) Read(ctx context.Context, from, to int64, f func(*kgo.Record) error) error {
	err := p.many.Read(ctx, from, to, f)
	var now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&now)
	*p.peak = max(*p.peak, now.HeapAlloc)
	return err
}
