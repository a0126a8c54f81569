package process

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A process lets garbage pile up to a limit, not to twice what lives: at full rate most of what a stage allocates lives
// for a transaction. Whoever sets GOMEMLIMIT decides instead. Where more lives than was thought (large records, many
// streams) the limit grows with it, so that the collector never runs all the time.
const (
	memoryOfEmbedded = 256 << 20 // broker and database in the process
	memoryEvery      = time.Second
)

// memoryOf is the limit of each stage: what each needs to be as fast as with several times as much (docs/benchmarks.md).
var memoryOf = map[string]int64{Ingest: 100 << 20, Processor: 135 << 20, Sink: 110 << 20}

// limitMemory sets the soft memory limit of the Go runtime until ctx is cancelled.
func limitMemory(ctx context.Context, limit int64) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit))
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(live)
		debug.SetMemoryLimit(limitFor(limit, int64(live[0].Value.Uint64()), int64(live[1].Value.Uint64())))
	}
}

// limitFor is the limit while so much of the heap lives: at least half as much again is for garbage.
func limitFor(least, live, stacks int64) int64 {
	const other = 16 << 20 // the runtime's own
	return max(least, live+live/2+stacks+other)
}

// memory is the limit of a process that runs these stages.
func memory(runs []run, embedded bool) (limit int64) {
	for _, r := range runs {
		limit += memoryOf[r.stage]
	}
	if embedded {
		limit += memoryOfEmbedded
	}
	return limit
}
