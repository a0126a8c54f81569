package processor

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processor/redo"
)

// pool is the workers of a session. As many goroutines as there are cores process the partitions of a poll, each
// partition on one of them, so that its order is kept.
type pool struct {
	p       *Processor
	streams map[string]*stream // by raw topic
	lanes   []*lane
	err     atomic.Pointer[error]
}

// lane is what one goroutine works with.
type lane struct {
	arena   *arena
	workers map[string]*worker // by raw topic
}

// minParallel is the number of records from which starting goroutines is worth it.
const minParallel = 256

func newPool(p *Processor, streams map[string]*stream) pool {
	lanes := make([]*lane, runtime.GOMAXPROCS(0))
	for i := range lanes {
		lanes[i] = &lane{newArena(), map[string]*worker{}}
	}
	return pool{p: p, streams: streams, lanes: lanes}
}

// process produces the outcome of every record, and returns how many raw records that was, with how many bytes.
func (p *pool) process(fetches kgo.Fetches, produce func(*kgo.Record)) (records, bytes int) {
	fetched := byPartition(fetches)
	for _, partition := range fetched {
		records += len(partition.Records)
		for _, r := range partition.Records {
			bytes += len(r.Key) + len(r.Value)
		}
	}
	if n := min(len(p.lanes), len(fetched)); n > 1 && records >= minParallel {
		p.fanOut(n, fetched, produce)
		return records, bytes
	}
	for _, partition := range fetched {
		p.lanes[0].process(p.streams, partition, produce)
	}
	return records, bytes
}

// byPartition are the partitions of which there are records, each once: several polls may have brought some of it.
func byPartition(fetches kgo.Fetches) (all []kgo.FetchTopicPartition) {
	at := map[touched]int{}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		i, ok := at[touched{p.Topic, p.Partition}]
		if !ok {
			at[touched{p.Topic, p.Partition}] = len(all)
			p.Records = slices.Clip(p.Records) // what follows in memory is not ours to write on
			all = append(all, p)
			return
		}
		all[i].Records = append(all[i].Records, p.Records...)
	})
	return all
}

func (p *pool) fanOut(n int, fetched []kgo.FetchTopicPartition, produce func(*kgo.Record)) {
	var next atomic.Int32
	var wg sync.WaitGroup
	for _, l := range p.lanes[:n] {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(fetched); i = next.Add(1) - 1 {
				l.process(p.streams, fetched[i], produce)
			}
		})
	}
	wg.Wait()
}

func (l *lane) process(streams map[string]*stream, partition kgo.FetchTopicPartition, produce func(*kgo.Record)) {
	w := l.workers[partition.Topic]
	if w == nil {
		w = newWorker(streams[partition.Topic], l.arena)
		l.workers[partition.Topic] = w
	}
	if last := partition.Records[len(partition.Records)-1].Timestamp; last.After(w.counts.newest) {
		w.counts.newest = last
	}
	var marks *redo.Marks // nil: all are processed
	if w.stream.marks != nil {
		marks = w.stream.marks(partition.Partition)
	}
	for _, r := range partition.Records {
		if r.Attrs.IsControl() {
			continue // the end of a transaction of ingest's: a place in the log, and nothing else
		}
		if marks != nil && !marks.Has(r.Offset) {
			continue
		}
		for _, out := range w.outcome(r) {
			produce(out)
		}
	}
}

// produced is called when a record was produced, or was not.
func (p *pool) produced(_ *kgo.Record, err error) {
	if err != nil {
		p.err.CompareAndSwap(nil, &err)
	}
}

func (p *pool) failed() bool { return p.err.Load() != nil }

// failure is the first error of a produced record since the last end.
func (p *pool) failure() error {
	if err := p.err.Load(); err != nil {
		return *err
	}
	return nil
}

// committed counts what a transaction did and reuses its memory: all records are flushed. It returns of how many raw
// records the outcome was made.
func (p *pool) committed() (records int) {
	for _, l := range p.lanes {
		for _, w := range l.workers {
			if c := w.counts; c.records > 0 {
				records += c.records
				w.stream.counters.count(c)
				p.p.progress.Add(w.stream.name, c.newest, c.records, c.rows, c.filtered, c.letters)
			}
			w.counts = counts{}
			p.p.refusals.Committed(&w.refused, p.p.letters)
		}
		l.arena.reset()
	}
	return records
}

// tell tells of the letters of a transaction that was committed.
func (p *pool) tell() {
	for _, l := range p.lanes {
		for _, w := range l.workers {
			p.p.refusals.Committed(&w.refused, p.p.letters)
		}
	}
}

// aborted forgets what was counted. The memory is not reused: the client may still hold on to it.
func (p *pool) aborted() {
	for _, l := range p.lanes {
		for _, w := range l.workers {
			w.counts = counts{}
			w.refused.Reset()
		}
		*l.arena = *newArena()
	}
}
