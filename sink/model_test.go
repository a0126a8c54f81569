package sink

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipeline"
)

// model is what the table means: for each key the rows of its newest good record.
type model struct {
	sent []event // every record so far, in the order of raw
	good map[int64]bool
}

func newer(a, b event) int { return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.raw, b.raw)) }

func (m *model) rows() map[string]string {
	newest := map[string]event{}
	for _, e := range m.sent {
		if old, ok := newest[e.key]; m.good[e.raw] && (!ok || newer(old, e) < 0) {
			newest[e.key] = e
		}
	}
	out := map[string]string{}
	for key, e := range newest {
		if e.row != nil {
			out[key] = e.row["note"].(string)
		}
	}
	return out
}

// next invents a record: a new one that is good, refused or a removal, a copy of an old one, or a refused one that
// was corrected.
func (m *model) next(r *rand.Rand, versioned bool) event {
	if len(m.sent) > 0 && r.IntN(3) == 0 {
		e := m.sent[r.IntN(len(m.sent))]
		if !m.good[e.raw] && r.IntN(2) == 0 { // a letter is corrected and sent through again
			e.row = maps.Clone(e.row)
			delete(e.row, "price")
			e.row["n"], e.row["note"] = 1, e.row["note"].(string)[:4]
			m.sent[slices.IndexFunc(m.sent, func(x event) bool { return x.raw == e.raw })] = e
			m.good[e.raw] = true
		}
		return e
	}
	e := event{raw: int64(len(m.sent)), key: string(rune('a' + r.IntN(4)))}
	if versioned {
		e.source = r.Int64N(20)
	}
	note := string(rune('A'+e.raw%26)) + strings.Repeat(string(rune('A'+e.raw/26%26)), 3)
	good := true
	switch r.IntN(6) {
	case 0, 1: // no rows
	case 2: // refused by the conversion
		e.row, good = map[string]any{"n": "many", "note": note}, false
	case 3: // refused by MySQL; SQLite takes any length, so there by the conversion
		e.row, good = map[string]any{"n": 1, "price": "dear", "note": note + strings.Repeat("x", 7)}, false
	default:
		e.row = map[string]any{"n": 1, "note": note}
	}
	m.sent = append(m.sent, e)
	m.good[e.raw] = good
	return e
}

// testModel applies random batches, and after each compares the table with its meaning.
func testModel(t *testing.T, open func(*testing.T) *pipeline.Pipeline, versioned bool) {
	f := newFixture(t, open(t), versioned)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	m := &model{good: map[int64]bool{}}
	for range 150 {
		var batch []event
		for range 1 + r.IntN(6) {
			batch = append(batch, m.next(r, versioned))
		}
		if r.IntN(10) == 0 { // another process takes over
			f.claim = f.newClaim()
		}
		f.apply(batch...)
		got, want := f.column("note"), m.rows()
		if !maps.Equal(got, want) {
			t.Fatalf("seed %d: after %v\nrows %v\nwant %v", seed, batch, got, want)
		}
	}
}
