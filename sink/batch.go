package sink

import (
	"bytes"
	"slices"

	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

// batch is what one writer applies in one transaction: the moves of its partitions, by topic and partition.
type batch struct{ moves []move }

// move takes a claim's position over the records of its partition.
type move struct {
	claim   *claim
	from    int64 // where its first record was polled: must be the claim's next offset, or records are missing
	next    int64
	high    [8]byte
	witness *witness      // of the rows that are written; nil: the one before stays
	changes []rows.Change // what the records do, in their order
}

// note adds a record's raw position to the move, and says whether it was applied before.
func (m *move) note(version topics.Version) (late bool) {
	position := version.Position()
	if bytes.Compare(position[:], m.high[:]) <= 0 {
		return true
	}
	m.high = position
	return false
}

// moveOf is the move of p's claim, before its records are known.
func (j *job) moveOf(p *polled) move {
	m := move{claim: p.claim, from: p.from, next: p.from, high: p.claim.high}
	if j.filling == nil {
		return m
	}
	m.from, m.next = p.claim.next, p.claim.next
	if end, ok := j.filling.ends[p.claim]; ok {
		m.next, m.high = end.next, end.high
	}
	return m
}

// newBatch makes j's batch, whose changes live in d's memory. Its positions begin where the claims stand.
func newBatch(d *rows.Decoder, j *job) *batch {
	d.Reset()
	b, changes := &batch{}, d.Changes(j.records)
	for _, p := range j.polled {
		m, begin := j.moveOf(&p), len(changes)
		for _, r := range p.records {
			if j.filling == nil {
				m.next = r.Offset + 1
			}
			if r.Attrs.IsControl() {
				continue // the end of a transaction of the processor's: a place in the log, and nothing else
			}
			changes = append(changes, rows.Change{})
			x := &changes[len(changes)-1]
			d.Decode(x, p.claim.table, r)
			x.Marking = p.claim.marking
			if x.Epoch = p.claim.epoch; x.Valid {
				x.Version = x.Version.Raised(x.Epoch)
				x.Late = j.late(&m, x.Version)
			}
		}
		m.changes = changes[begin:]
		b.moves = append(b.moves, m)
	}
	slices.SortFunc(b.moves, func(a, b move) int { return a.claim.compare(b.claim) })
	return b
}

// late reports whether a record of m was applied before, or may have been.
func (j *job) late(m *move, version topics.Version) bool {
	if j.filling != nil {
		return j.filling.late
	}
	return m.note(version)
}

// drop leaves out of b what belongs to revoked claims.
func (b *batch) drop() {
	b.moves = slices.DeleteFunc(b.moves, func(m move) bool { return m.claim.revoked.Load() })
}

// changes are those of each move.
func (b *batch) changes() [][]rows.Change {
	out := make([][]rows.Change, len(b.moves))
	for i := range b.moves {
		out[i] = b.moves[i].changes
	}
	return out
}
