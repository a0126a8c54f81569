package sink

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// attemptTimeout bounds one attempt to write a batch, and rebalanceTimeout how long the group waits for us to end it.
	attemptTimeout   = 25 * time.Second
	rebalanceTimeout = time.Minute
	// isolateRecords is how many records are halved to find those that the database refuses.
	isolateRecords = 1000
)

// job is a batch that is to be written, however often that takes.
type job struct {
	parts   []claimed
	records int
	bytes   int
	batch   *batch // nil until its turn: the positions begin where the jobs before it ended
	letters *letters
	sent    map[string]int // letters, by stream
	began   time.Time
}

// claimed are records of one partition, in the order of their offsets.
type claimed struct {
	claim   *claim
	from    int64 // the offset after the record before
	records []*kgo.Record
}

func newJob(client *kgo.Client) *job {
	return &job{letters: &letters{client: client, sent: map[*kgo.Record]bool{}}, sent: map[string]int{}}
}

func (j *job) full(c Config) bool { return j.records >= c.MaxRecords || j.bytes >= c.MaxBatchBytes }

// take moves the first of p's records, at most n, until j is full, and says how many they are.
func (j *job) take(p *claimed, n int, c Config) (taken int) {
	for taken < min(n, len(p.records)) && !j.full(c) {
		r := p.records[taken]
		j.records++
		j.bytes += len(r.Key) + len(r.Value)
		taken++
	}
	if taken > 0 {
		j.parts = extend(j.parts, claimed{p.claim, p.from, p.records[:taken]})
		p.from, p.records = p.records[taken-1].Offset+1, p.records[taken:]
	}
	return taken
}

// extend puts p after what all has of p's partition. A poll may bring a partition in several parts; in a job they are one, for a
// transaction moves each position once.
func extend(all []claimed, p claimed) []claimed {
	i := slices.IndexFunc(all, func(q claimed) bool { return q.claim == p.claim })
	if i < 0 {
		p.records = slices.Clip(p.records) // what follows in memory is not ours to write on
		return append(all, p)
	}
	all[i].records = append(all[i].records, p.records...)
	return all
}

// pieces cuts j into jobs of at most n records. Letters that were sent are not sent again.
func (j *job) pieces(n int) []*job {
	var out []*job
	for _, p := range j.parts {
		for len(p.records) > 0 {
			if len(out) == 0 || out[len(out)-1].records >= n {
				out = append(out, &job{letters: j.letters, sent: map[string]int{}})
			}
			last := out[len(out)-1]
			last.take(&p, n-last.records, Config{MaxRecords: n, MaxBatchBytes: math.MaxInt})
		}
	}
	out[0].sent = j.sent
	return out
}

// decode makes j's batch. Its positions begin where the claims stand.
func (d *decoder) decode(j *job) *batch {
	d.arena = d.arena[:0]
	b := &batch{changes: make([]change, 0, j.records)}
	for _, p := range j.parts {
		m := move{claim: p.claim, from: p.from, next: p.from, high: p.claim.high}
		for _, r := range p.records {
			m.next = r.Offset + 1
			if r.Attrs.IsControl() {
				continue // the end of a transaction of the processor's: a place in the log, and nothing else
			}
			b.changes = append(b.changes, change{})
			x := &b.changes[len(b.changes)-1]
			if d.change(x, p.claim, r); x.valid {
				x.late = m.note(x.version)
			}
		}
		b.moves = append(b.moves, m)
	}
	slices.SortFunc(b.moves, func(a, b move) int {
		return cmp.Or(cmp.Compare(a.claim.topic, b.claim.topic), cmp.Compare(a.claim.part, b.claim.part))
	})
	return b
}

// drop leaves out of b what belongs to revoked claims.
func (b *batch) drop() {
	b.moves = slices.DeleteFunc(b.moves, func(m move) bool { return m.claim.revoked.Load() })
	b.changes = slices.DeleteFunc(b.changes, func(x change) bool { return x.claim.revoked.Load() })
}
