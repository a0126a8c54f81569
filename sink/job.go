package sink

import (
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// attemptTimeout bounds one attempt to write a batch, and rebalanceTimeout how long the group waits for us to end
	// it.
	attemptTimeout   = 25 * time.Second
	rebalanceTimeout = time.Minute
	// isolateRecords is how many records are looked through for those that the database refuses.
	isolateRecords = 1000
)

// job is a batch that is to be written, however often that takes.
type job struct {
	polled  []polled
	records int
	bytes   int
	batch   *batch // nil until its turn: the positions begin where the jobs before it ended
	letters *letters
	sent    sent
	began   time.Time

	failures int     // attempts that failed for what another may not meet
	unknown  *result // of a COMMIT whose outcome could not be asked yet
	doubted  bool    // the server has answered once with an error that nobody listed
	looked   bool    // at the table, after a row of it was refused: it is in order

	filling *filling // not nil: it is of a fill
}

// polled are records of one partition, in the order of their offsets.
type polled struct {
	claim   *claim
	from    int64 // the offset after the record before
	records []*kgo.Record
}

func newJob(client *kgo.Client, pipeline string) *job {
	return &job{letters: &letters{client: client, pipeline: pipeline, sent: map[*kgo.Record]bool{}}, sent: newSent()}
}

func (j *job) full(c Config) bool { return j.records >= c.MaxRecords || j.bytes >= c.MaxBatchBytes }

// fill moves the first of p's records, at most n, until j is full, and says how many they are.
func (j *job) fill(p *polled, n int, c Config) (moved int) {
	for moved < min(n, len(p.records)) && !j.full(c) {
		r := p.records[moved]
		j.records++
		j.bytes += len(r.Key) + len(r.Value)
		moved++
	}
	if moved > 0 {
		j.polled = extend(j.polled, polled{p.claim, p.from, p.records[:moved]})
		p.from, p.records = p.records[moved-1].Offset+1, p.records[moved:]
	}
	return moved
}

// fewRecords and fewBytes are what two jobs have at most that become one.
const (
	fewRecords = 1000
	fewBytes   = 1 << 20
)

// add puts the records of the next job behind those of j, if they are few. Neither has begun.
func (j *job) add(next *job, c Config) bool {
	records, bytes := j.records+next.records, j.bytes+next.bytes
	if records > min(fewRecords, c.MaxRecords) || bytes > min(fewBytes, c.MaxBatchBytes) {
		return false
	}
	for _, p := range next.polled {
		j.polled = extend(j.polled, p)
	}
	j.records, j.bytes = records, bytes
	return true
}

// extend puts p after what all has of p's partition. A poll may bring a partition more than once; in a job it is
// there once, for a transaction moves each position once.
func extend(all []polled, p polled) []polled {
	i := slices.IndexFunc(all, func(q polled) bool { return q.claim == p.claim })
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
	for _, p := range j.polled {
		for len(p.records) > 0 {
			if len(out) == 0 || out[len(out)-1].records >= n {
				out = append(out, &job{letters: j.letters, sent: newSent(), looked: j.looked, filling: j.filling})
			}
			last := out[len(out)-1]
			last.fill(&p, n-last.records, Config{MaxRecords: n, MaxBatchBytes: math.MaxInt})
		}
	}
	out[0].sent = j.sent
	return out
}
