package processor

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pool is the workers of a session: as many goroutines as there are cores process the partitions of a poll, each
// partition on one of them, so that its order is kept.
type pool struct {
	p     *Processor
	lanes []*lane
	err   atomic.Pointer[error]
}

// lane is what one goroutine works with.
type lane struct {
	arena   *arena
	workers map[string]*worker // by raw topic
}

// alone is the number of records below which starting goroutines is not worth it.
const alone = 256

func newPool(p *Processor) pool {
	lanes := make([]*lane, runtime.GOMAXPROCS(0))
	for i := range lanes {
		lanes[i] = &lane{newArena(), map[string]*worker{}}
	}
	return pool{p: p, lanes: lanes}
}

// process produces the outcome of every record, and returns how many raw records that was, with how many bytes.
func (p *pool) process(fetches kgo.Fetches, produce func(*kgo.Record)) (records, bytes int) {
	var parts []kgo.FetchTopicPartition
	fetches.EachPartition(func(part kgo.FetchTopicPartition) {
		if len(part.Records) > 0 {
			parts = append(parts, part)
			records += len(part.Records)
			for _, r := range part.Records {
				bytes += len(r.Key) + len(r.Value)
			}
		}
	})
	if n := min(len(p.lanes), len(parts)); n > 1 && records > alone {
		p.fanOut(n, parts, produce)
		return records, bytes
	}
	for _, part := range parts {
		p.lanes[0].process(p.p, part, produce)
	}
	return records, bytes
}

func (p *pool) fanOut(n int, parts []kgo.FetchTopicPartition, produce func(*kgo.Record)) {
	var next atomic.Int32
	var wg sync.WaitGroup
	for _, l := range p.lanes[:n] {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(parts); i = next.Add(1) - 1 {
				l.process(p.p, parts[i], produce)
			}
		})
	}
	wg.Wait()
}

func (l *lane) process(p *Processor, part kgo.FetchTopicPartition, produce func(*kgo.Record)) {
	w := l.workers[part.Topic]
	if w == nil {
		w = newWorker(p.streams[part.Topic], l.arena)
		l.workers[part.Topic] = w
	}
	for _, r := range part.Records {
		for _, out := range w.outcome(r) {
			produce(out)
		}
	}
}

// produced is the promise of every record.
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

// committed counts, and makes the memory free for the next transaction: all records are flushed.
func (p *pool) committed() {
	for _, l := range p.lanes {
		for _, w := range l.workers {
			w.stream.counters.add(w.counts)
			w.counts = counts{}
		}
		l.arena.reset()
	}
}

// aborted forgets what was counted. The memory may still be the client's.
func (p *pool) aborted() {
	for _, l := range p.lanes {
		for _, w := range l.workers {
			w.counts = counts{}
		}
		*l.arena = *newArena()
	}
}
