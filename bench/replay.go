package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// replay measures how fast a stream is processed again, against how fast processor and sink take the same records in
// the first place.
func (b *bench) replay(ctx context.Context) error {
	f, stop, err := b.first(ctx)
	defer stop()
	if err != nil {
		return err
	}
	var w phases
	w.enter("replay: begins")
	_, took, err := b.followed(ctx, f, &w, "replay", f.file, stream, "--yes") // until the rows are in the table
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	thousands := func(took time.Duration) float64 { return float64(b.records) / took.Seconds() / 1000 }
	looked := w.until("replay: processes again")
	fmt.Printf("\n%-44s %9.1f\n%-44s %9.1f\n  of it: %.0f %%\n", "raw record → row, the first time, thousands/s", thousands(f.took),
		"processed again, into the same rows", thousands(took), 100*f.took.Seconds()/took.Seconds())
	fmt.Printf("%-44s %9.1f\n%-44s %9.1f\n  of the first time: %.0f %%\n", "of that, until the log was looked through, s", looked.Seconds(),
		"after that, thousands/s", thousands(took-looked), 100*f.took.Seconds()/(took-looked).Seconds())
	return nil
}

// first is a pipeline whose records a sink and a processor have taken for the first time.
type first struct {
	p    *pipeline.Pipeline
	file string
	env  []string
	took time.Duration
}

// first makes one. The stages run until stop, which is never nil, is called; it removes the pipeline, too.
func (b *bench) first(ctx context.Context) (f first, stop func(), err error) {
	var ends []func()
	stop = func() {
		for _, end := range slices.Backward(ends) {
			end()
		}
	}
	if f.p, f.file, f.env, err = b.pipeline("http://127.0.0.1", 500, 1); err != nil {
		return f, stop, err
	}
	b.drop(ctx)
	ends = append(ends, func() { b.forget(ctx, f.p) })
	b.lived = 0
	if err := fill(ctx, f.p, b.flights, 0, b.records); err != nil {
		return f, stop, err
	}
	began := time.Now()
	for _, name := range []string{"sink", "processor"} {
		r, err := b.stage(f.env, name, f.file)
		if err != nil {
			return f, stop, err
		}
		ends = append(ends, func() { _, _ = r.stop() })
	}
	err = b.inTable(ctx, f.p)
	f.took = time.Since(began)
	return f, stop, err
}

// inTable waits until all that was produced is in the table.
func (b *bench) inTable(ctx context.Context, p *pipeline.Pipeline) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	raw := committed(b.adm, topics.ProcessorGroup(p.Name), topics.Raw(p.Name, stream))
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if n, err := raw(ctx); err == nil && n >= int64(b.records) {
			end, err := lastData(ctx, p.Kafka.Brokers, b.adm, topics.Processed(p.Name, stream))
			if n, was := applied(b.db, p.Name)(ctx); err == nil && was == nil && n >= end {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
