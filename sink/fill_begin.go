package sink

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/sink/sorted"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// sorts is how a sink sorts.
type sorts struct {
	never  bool   // it could not, or tests forbid it. Sink.mu guards it
	always bool   // tests fill any table
	memory int    // of a fill, in bytes; 0: sortMemory
	dir    string // of temporary files; empty: the system's
}

// sortMemory is what a fill takes of memory; a sink has one at a time, or two where partitions come and go.
const sortMemory = 32 << 20

// beginFill has a fill take the records of claims that were made, where they stand at the start of their logs and their
// line is being built. s.mu is held. What it cannot find out is no error: rows are then written in the order of the
// topic.
func (s *Sink) beginFill(ctx context.Context, bids []*bid) {
	var at []*claim
	for _, b := range bids {
		if b.lost == nil && b.next == b.bounds.start && b.high == unversioned && b.table.Findable {
			at = append(at, b.claim)
		}
	}
	if len(at) == 0 || s.sorts.never || !s.sorts.always && !s.mayFill(ctx, at[0].table) {
		return
	}
	for _, c := range at {
		f := s.fillFor(c)
		f.claims[c.partition], c.fill, c.sorted = c, f, unversioned
	}
}

// fillFor is a fill that can take c: one that has not had its partition before, and still reads.
func (s *Sink) fillFor(c *claim) *fill {
	for _, f := range s.fills {
		if _, had := f.claims[c.partition]; !had && !f.writing && f.err == nil && f.table == c.table {
			return f
		}
	}
	memory := s.sorts.memory
	if memory == 0 {
		memory = sortMemory
	}
	f := &fill{
		topic: c.topic, table: c.table, claims: map[int32]*claim{}, sorter: sorted.New(c.topic, s.sorts.dir, memory), decoder: rows.NewDecoder(),
		full: make(chan struct{}), done: make(chan struct{}),
	}
	s.fills = append(s.fills, f)
	return f
}

// mayFill reports whether a table is to be filled in key order: that of a line that is being built, if the one that is
// read, whose rows are like its own, exceeds the server's memory for pages.
func (s *Sink) mayFill(ctx context.Context, t *rows.Table) bool {
	sizer, ok := s.store.dialect.(dialect.Sizer)
	if !ok || s.pipeline.Line == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	l, err := control.LineNow(ctx, s.pipeline, s.env.Kafka)
	if err == nil && (l == nil || !l.Building()) {
		return false
	}
	var bytes, memory int64
	if err == nil {
		bytes, memory, err = sizer.Size(ctx, s.store.db, s.pipeline.Stream(t.Stream).Sink.Table)
	}
	if err != nil {
		s.env.Log.Info("not known whether the table will exceed the server's memory: its rows are written in the order of the topic", "table", t.Name, "err", err)
		return false
	}
	if bytes <= memory {
		return false
	}
	s.env.Log.Info("the table will exceed the server's memory for pages: it is filled in the order of its keys", "table", t.Name,
		"live_table_bytes", bytes, "buffer_pool_bytes", memory)
	return true
}

// awaitProcessors waits until all that is in the raw topic by now is in the processed one, and then has the fill read
// up to where that ends: a fill is of as many records as there can be. It returns the line's rate. The error is ctx's.
func (s *Sink) awaitProcessors(ctx context.Context, f *fill) (limit int, err error) {
	var goal map[topicPartition]bounds
	for {
		caught, err := s.processedAll(ctx, f, &goal)
		if err == nil && caught {
			limit, err = s.endOf(ctx, f)
			if err == nil {
				s.waits.Done("Kafka", "fill")
				return limit, nil
			}
		}
		if err != nil && ctx.Err() == nil {
			s.waits.On("Kafka", "fill", err)
		}
		if err := stage.Sleep(ctx, followEvery); err != nil {
			return 0, err
		}
	}
}

// processedAll reports whether the processors' positions are at goal, which is the end of the raw topic when it is
// asked first.
func (s *Sink) processedAll(ctx context.Context, f *fill, goal *map[topicPartition]bounds) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	raw := topics.RawOf(s.pipeline, f.table.Stream)
	if *goal == nil {
		all, err := s.partitions(kadm.WithAuthorizedOps(ctx), raw) // which is not answered from the client's cache
		if err != nil {
			return false, err
		}
		*goal = all
	}
	if err := s.refresh(ctx); err != nil {
		return false, err
	}
	committed, err := admin.Cut(ctx, s.client, topics.ProcessorGroup(s.pipeline.Name), raw)
	if err != nil {
		return false, err
	}
	decided := s.decided(f.topic)
	for tp, b := range *goal {
		o, ok := committed[tp.partition]
		next, err := decided.GoOn(hex.EncodeToString(b.topicID[:]), tp.partition, o.At, o.Metadata, ok)
		if err != nil {
			return false, fmt.Errorf("%s[%d]: %w", raw, tp.partition, err)
		}
		if max(next, b.start) < b.end {
			return false, nil
		}
	}
	return true, nil
}

// endOf notes where the processed topic ends, and returns the line's rate.
func (s *Sink) endOf(ctx context.Context, f *fill) (limit int, err error) {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	if s.pipeline.Line != nil {
		l, err := control.LineNow(ctx, s.pipeline, s.env.Kafka)
		if err != nil {
			return 0, err
		}
		if l != nil {
			limit = l.Rate
		}
	}
	ends, err := admin.Ends(ctx, s.adm, f.topic)
	if err != nil {
		return 0, err
	}
	f.ends.Store(&ends)
	return limit, nil
}

// tendFills begins, goes on with and ends what is under way. It is the loop's.
func (s *Sink) tendFills(ctx, hard context.Context, begin func(func())) {
	s.mu.RLock()
	all := slices.Clone(s.fills)
	s.mu.RUnlock()
	for _, f := range all {
		select {
		case <-f.done:
			s.endFill(f)
			continue
		default:
		}
		s.mu.RLock() // claims may be added
		lives := f.lives()
		s.mu.RUnlock()
		switch {
		case f.stop == nil:
			working, stop := context.WithCancel(ctx)
			f.stop = stop
			begin(func() { s.runFill(working, hard, f) })
		case f.err != nil || !lives:
			f.stop()
		case !f.writing:
			s.writeSorted(f)
		}
		s.tellFill(f)
	}
}

// writeSorted has the goroutine write what was read, if that is all. What comes after it is fetched once the fill has
// ended.
func (s *Sink) writeSorted(f *fill) {
	s.mu.Lock()
	if f.writing = f.complete(); !f.writing {
		s.mu.Unlock()
		return
	}
	n := 0
	var paused []int32
	for partition, c := range f.claims {
		if paused = append(paused, partition); !c.revoked.Load() {
			n++
		}
	}
	f.share = float64(n) / float64(max(1, s.pipeline.Kafka.Partitions))
	s.mu.Unlock()
	s.client.PauseFetchPartitions(map[string][]int32{f.topic: paused})
	close(f.full)
}
