package sink

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/time/rate"

	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/sink/sorted"
	"github.com/millrace-io/millrace/topics"
)

// fill writes the first records of partitions in the order of their rows' keys, instead of that of the topic: a table
// that exceeds the server's memory for pages is then written page by page, and not one page for each row. It is of a
// line that is being built, so nobody reads the table (docs/decisions/0010-fills-in-key-order.md).
//
//	read    the loop adds what it polls of the fill's claims to the sorter, until the processors have reached the end
//	        of the raw topic and the sink that of the processed one; then it pauses these partitions
//	write   a goroutine with a session of its own writes all records in key order, in batches that go the way of all
//	        batches: guard, marks, rows, letters. Of one key they come in the order of the topic, the older revisions
//	        too: the newest may be refused
//	end     one last transaction moves the positions over all that was read
//
// Until then positions stay at the start of the log, so a death, and a claim that is lost, repeats the whole: what was
// written has the same versions, and nothing changes. Claims that are lost drop out of the batches, as they do of all.
type fill struct {
	topic   string
	table   *rows.Table
	claims  map[int32]*claim // by partition; none is added once writing is set
	share   float64          // of all partitions: of the line's rate
	sorter  *sorted.Sorter
	decoder *rows.Decoder
	writing bool // the sorter is the goroutine's. Sink.mu guards it

	late bool  // a record was read that is older than one before it: a mark may forbid it, and so it is asked for all
	err  error // of reading. Both are the loop's, and later the goroutine's

	// of the processed topic, once the processors have reached the end of the raw one
	ends   atomic.Pointer[map[int32]int64]
	full   chan struct{}      // closed once all below ends is read
	done   chan struct{}      // closed once the goroutine has ended
	failed error              // of writing; valid then
	stop   context.CancelFunc // nil: not begun
	filled bool               // the positions have moved; valid once done is closed

	added, written atomic.Int64 // records
	told           time.Time
	began          atomic.Int64 // when writing began, in Unix ms
}

// filling says of a job that it is of a fill: its records are not in the order of the topic, and positions stay, but
// for those in ends.
type filling struct {
	late bool
	ends map[*claim]end
}

// end is what a fill makes of a position.
type end struct {
	next int64
	high [8]byte
}

// read adds polled records of c to the sorter. It is the loop's. What it does not take is fetched again once the fill
// has ended.
func (f *fill) read(c *claim, records []*kgo.Record) {
	if f.writing || f.err != nil {
		return
	}
	for _, r := range records {
		if c.polled = r.Offset + 1; r.Attrs.IsControl() {
			continue
		}
		if f.err = f.add(c, r); f.err != nil {
			return
		}
	}
}

func (f *fill) add(c *claim, r *kgo.Record) error {
	var x rows.Change
	f.decoder.Reset()
	f.decoder.Decode(&x, f.table, r)
	if x.Valid {
		if at := x.Version.Raised(c.epoch).Position(); bytes.Compare(at[:], c.sorted[:]) > 0 {
			c.sorted = at
		} else if c.sorted != [8]byte{} {
			f.late = true
		}
	}
	if x.Reason != nil {
		x.Key = nil // it is a letter's, at any place
	}
	f.added.Add(1)
	return f.sorter.Add(x.Key, r)
}

// lives reports whether a claim is left.
func (f *fill) lives() bool {
	for _, c := range f.claims {
		if !c.revoked.Load() {
			return true
		}
	}
	return false
}

// complete reports whether all is read of the claims that are left. It is the loop's.
func (f *fill) complete() bool {
	ends := f.ends.Load()
	if ends == nil {
		return false
	}
	for partition, c := range f.claims {
		if !c.revoked.Load() && c.polled < (*ends)[partition] {
			return false
		}
	}
	return true
}

// next puts the next records into j, until it is full or has most; none at the end. Those of claims that are gone are
// left out.
func (f *fill) next(m *sorted.Merge, j *job, most int, cfg Config) error {
	j.filling = &filling{late: f.late}
	for j.records < most && !j.full(cfg) {
		r, err := m.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		f.written.Add(1)
		c := f.claims[r.Partition]
		if c.revoked.Load() {
			continue
		}
		j.polled = extend(j.polled, polled{c, c.next, []*kgo.Record{r}})
		j.records++
		j.bytes += len(r.Key) + len(r.Value)
	}
	return nil
}

// last has j move the positions of the claims that are left. It reports false if there are none to move.
func (f *fill) last(j *job) bool {
	j.filling = &filling{late: f.late, ends: map[*claim]end{}}
	for _, c := range f.claims {
		if c.revoked.Load() || c.polled == c.next {
			continue
		}
		j.polled = append(j.polled, polled{claim: c, from: c.next})
		to := end{c.polled, c.sorted}
		if bytes.Compare(to.high[:], c.high[:]) < 0 {
			to.high = c.high
		}
		j.filling.ends[c] = to
	}
	return len(j.polled) > 0
}

// runFill is the fill's goroutine. It ends when the table is filled, when no claim is left, or with ctx.
func (s *Sink) runFill(ctx, hard context.Context, f *fill) {
	defer close(f.done)
	limit, err := s.awaitProcessors(ctx, f)
	if err != nil {
		return // ctx has ended
	}
	select {
	case <-f.full:
	case <-ctx.Done():
		return
	}
	f.began.Store(time.Now().UnixMilli())
	if err := s.writeFill(ctx, hard, f, limit); ctx.Err() == nil {
		f.failed = err
	}
}

// writeFill writes all that was read, and moves the positions. An error is the temporary file's.
func (s *Sink) writeFill(ctx, hard context.Context, f *fill, limit int) error {
	m, err := f.sorter.Merge()
	if err != nil {
		return err
	}
	w, d := newWriter(s.store), rows.NewDecoder()
	defer w.disconnect()
	begun := func() *job { return newJob(s.client, s.pipeline.Name) }
	write := func(j *job) { s.writeAll(ctx, hard, w, d, []*job{j}) }
	if err := f.paced(ctx, m, limit, s.cfg, begun, write); err != nil || !f.lives() {
		return err
	}
	if j := begun(); f.last(j) {
		write(j)
	}
	f.filled = ctx.Err() == nil && f.lives()
	return ctx.Err()
}

// paced gives all of m to write, job after job, until no claim is left. limit is the line's rate; 0: none. By any time
// no more is written than this fill's share of the rate allows since the beginning, and one job. An error is the
// temporary file's, or ctx's.
func (f *fill) paced(ctx context.Context, m *sorted.Merge, limit int, cfg Config, begun func() *job, write func(*job)) error {
	most, pace := cfg.MaxRecords, rate.NewLimiter(rate.Inf, 0)
	if limit > 0 {
		perSecond := max(1, float64(limit)*f.share)
		most = min(most, int(perSecond))
		pace = rate.NewLimiter(rate.Limit(perSecond), most)
	}
	for {
		j := begun()
		if err := f.next(m, j, most, cfg); err != nil {
			return err
		}
		if j.records == 0 {
			return nil
		}
		if err := pace.WaitN(ctx, j.records); err != nil {
			return err
		}
		if write(j); ctx.Err() != nil || !f.lives() {
			return ctx.Err()
		}
	}
}

// unversioned is where no record was applied.
var unversioned = topics.Version{}.Position()
