package sink

import (
	"cmp"
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

// add puts r, before which c's position is from, at the end of c's records. A poll may bring a partition in several parts; here they are one, for a transaction moves
// each position once.
func (j *job) add(c *claim, from int64, r *kgo.Record) {
	i := len(j.parts) - 1
	if i < 0 || j.parts[i].claim != c {
		i = slices.IndexFunc(j.parts, func(p claimed) bool { return p.claim == c })
	}
	if i < 0 {
		j.parts = append(j.parts, claimed{claim: c, from: from})
		i = len(j.parts) - 1
	}
	j.parts[i].records = append(j.parts[i].records, r)
	j.records++
	j.bytes += len(r.Key) + len(r.Value)
}

// pieces cuts j into jobs of at most n records. Letters that were sent are not sent again.
func (j *job) pieces(n int) []*job {
	var out []*job
	for _, p := range j.parts {
		from := p.from
		for _, r := range p.records {
			if len(out) == 0 || out[len(out)-1].records >= n {
				out = append(out, &job{letters: j.letters, sent: map[string]int{}})
			}
			out[len(out)-1].add(p.claim, from, r)
			from = r.Offset + 1
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
