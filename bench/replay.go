package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// replay measures how fast a stream is processed again, against how fast processor and sink take the same records in
// the first place.
func (b *bench) replay(ctx context.Context) error {
	p, file, env, err := b.pipeline("http://127.0.0.1", 500, 1)
	if err != nil {
		return err
	}
	b.drop(ctx)
	defer b.forget(ctx, p)
	first, stop, err := b.first(ctx, p, env, file)
	defer stop()
	if err != nil {
		return err
	}
	live := float64(b.records) / first.Seconds()
	took, err := b.replayed(ctx, env, file)
	if err != nil {
		return err
	}
	again := float64(b.records) / took.Seconds()
	fmt.Printf("\n%-44s %9.1f\n%-44s %9.1f\n  of it: %.0f %%\n", "raw record → row, the first time, thousands/s", live/1000,
		"processed again, into the same rows", again/1000, 100*again/live)

	return nil
}

// replayed processes all again and returns how long that took, until the rows are in the table.
func (b *bench) replayed(ctx context.Context, env []string, file string) (time.Duration, error) {
	began := time.Now()
	p, err := start(env, filepath.Join(b.dir, "millrace"), "replay", file, stream, "--yes")
	if err != nil {
		return 0, err
	}
	if _, err := p.wait(); err != nil {
		return 0, err
	}
	return time.Since(began), ctx.Err()
}

// first has a sink and a processor take the records for the first time, and says how long they took. They run until
// stop, which is never nil, is called.
func (b *bench) first(ctx context.Context, p *pipeline.Pipeline, env []string, file string) (took time.Duration, stop func(), err error) {
	var running []*process
	stop = func() {
		for _, r := range slices.Backward(running) {
			_, _ = r.stop()
		}
	}
	b.lived = 0
	if err := fill(ctx, p, b.flights, 0, b.records); err != nil {
		return 0, stop, err
	}
	began := time.Now()
	for _, name := range []string{"sink", "processor"} {
		r, err := b.stage(env, name, file)
		if err != nil {
			return 0, stop, err
		}
		running = append(running, r)
	}
	err = b.inTable(ctx, p)
	return time.Since(began), stop, err
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
