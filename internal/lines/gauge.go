package lines

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Gauge tells how far a line is. Its methods may be called concurrently. It must be closed.
type Gauge struct {
	line   *pipeline.Pipeline
	stream string
	cl     *kgo.Client
	db     *sink.Admin // nil: it looks at Kafka alone
	view   *control.View
}

// NewGauge returns a gauge of a line, as [Of] returns it. cl stays the caller's. It does no I/O.
func NewGauge(line *pipeline.Pipeline, cl *kgo.Client, env stage.Env) (*Gauge, error) {
	db, err := sink.OpenAdmin(line)
	if err != nil {
		return nil, err
	}
	g := newGauge(line, cl, env)
	g.db = db
	return g, nil
}

// newGauge returns one that looks at Kafka alone: what needs the database must not be asked of it.
func newGauge(line *pipeline.Pipeline, cl *kgo.Client, env stage.Env) *Gauge {
	view := control.NewView(control.Config{Pipeline: line.Name, Client: env.Kafka})
	return &Gauge{line: line, stream: line.Streams[0].Name, cl: cl, view: view}
}

// Close gives back the connections.
func (g *Gauge) Close() {
	g.view.Close()
	if g.db != nil {
		g.db.Close()
	}
}

// Raw are the offsets at which the partitions of the raw topic end: all that was written to it before is below.
func (g *Gauge) Raw(ctx context.Context) (map[int32]int64, error) {
	return admin.Ends(ctx, kadm.NewClient(g.cl), topics.RawOf(g.line, g.stream))
}

// Next are the raw offsets at which the line's processing goes on, by partition: what is below has its outcome in the
// processed topic. Transactions that are about to commit are waited for.
func (g *Gauge) Next(ctx context.Context) (map[int32]int64, error) {
	raw := topics.RawOf(g.line, g.stream)
	if _, err := g.view.Refresh(ctx); err != nil {
		return nil, err
	}
	d, err := admin.Topic(ctx, kadm.NewClient(g.cl), raw)
	if err != nil {
		return nil, err
	}
	committed, err := admin.Cut(ctx, g.cl, topics.ProcessorGroup(g.line.Name), raw)
	if err != nil {
		return nil, err
	}
	out, err := admin.Starts(ctx, kadm.NewClient(g.cl), raw)
	if err != nil {
		return nil, err
	}
	decided := g.view.Stream(g.stream)
	for partition, start := range out {
		o, ok := committed[partition]
		next, err := decided.GoOn(hex.EncodeToString(d.ID[:]), partition, o.At, o.Metadata, ok)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", raw, partition, err)
		}
		out[partition] = max(next, start)
	}
	return out, nil
}

// Unwritten is how many processed records the line's table lacks, up to these offsets of the processed topic; 0 exactly
// if none.
func (g *Gauge) Unwritten(ctx context.Context, upTo map[int32]int64) (int64, error) {
	topic := topics.Processed(g.line.Name, g.stream)
	d, err := admin.Topic(ctx, kadm.NewClient(g.cl), topic)
	if err != nil {
		return 0, err
	}
	positions, err := g.db.Positions(ctx, g.stream)
	if err != nil {
		return 0, err
	}
	behind := map[int32]int64{}
	for partition, end := range upTo {
		at, ok := positions[partition]
		if !ok || at.TopicID != [16]byte(d.ID) {
			at.Next = -1
		}
		if at.Next < end {
			behind[partition] = at.Next
		}
	}
	if len(behind) == 0 {
		return 0, nil
	}
	left, err := admin.Remaining(ctx, g.cl, map[string]map[int32]int64{topic: behind}) // only markers may be left
	if err != nil {
		return 0, fmt.Errorf("what the sinks have to write: %w", err)
	}
	return left, nil
}

// Barrier is a place in the raw topic up to which a line is waited for. It is for one goroutine.
type Barrier struct {
	gauge     *Gauge
	raw       map[int32]int64
	processed map[int32]int64 // the end of the processed topic, once all below raw is in it; nil: it is not
}

// Barrier begins to wait until all raw records below these offsets, by partition, are in the line's table.
func (g *Gauge) Barrier(raw map[int32]int64) *Barrier { return &Barrier{gauge: g, raw: raw} }

// Passed reports whether it is so. The order is what counts: the group's offsets are at raw; then the processed topic
// is looked at, up to its end, not to its last stable offset, which markers that are written later move; then the
// positions in the database.
func (b *Barrier) Passed(ctx context.Context) (bool, error) {
	if b.processed == nil {
		next, err := b.gauge.Next(ctx)
		if err != nil {
			return false, err
		}
		for partition, goal := range b.raw {
			if next[partition] < goal {
				return false, nil
			}
		}
		if b.processed, err = admin.Ends(ctx, kadm.NewClient(b.gauge.cl), topics.Processed(b.gauge.line.Name, b.gauge.stream)); err != nil {
			b.processed = nil
			return false, err
		}
	}
	left, err := b.gauge.Unwritten(ctx, b.processed)
	return err == nil && left == 0, err
}

// Await waits for a barrier at these raw offsets. It returns ctx's error, joined with that of the last look, if ctx
// ends before.
func (g *Gauge) Await(ctx context.Context, raw map[int32]int64) error {
	b := g.Barrier(raw)
	for {
		passed, err := b.Passed(ctx)
		if passed {
			return nil
		}
		if ended := stage.Sleep(ctx, awaitEvery); ended != nil {
			return fmt.Errorf("%w: %w", ended, err)
		}
	}
}

const awaitEvery = 100 * time.Millisecond
