package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/topics"
)

// starts measures how long a processor takes, from its start as a process, until its first commit and until it has
// committed all that was there: a group gives its sessions their partitions meanwhile.
func (b *bench) starts(ctx context.Context) error {
	var first, last []time.Duration
	for range b.runs {
		p, file, env, err := b.pipeline("http://127.0.0.1", 500, 1)
		if err != nil {
			return err
		}
		if err := fill(ctx, p, b.flights, 0, b.records); err != nil {
			return err
		}
		started := time.Now()
		running, err := b.stage(env, "processor", file)
		if err != nil {
			return err
		}
		one, all, err := b.startOf(ctx, topics.ProcessorGroup(p.Name), topics.Raw(p.Name, stream), started)
		_, stopped := running.stop()
		b.forget(ctx, p)
		if err = cmp.Or(err, stopped); err != nil {
			return err
		}
		first, last = append(first, one), append(last, all)
	}
	fmt.Printf("\n%-44s %7s %7s %7s\n", "start of a processor, s", "min", "median", "max")
	spread("to the first commit", first)
	spread("to the last", last)
	return nil
}

func spread(name string, all []time.Duration) {
	slices.Sort(all)
	fmt.Printf("%-44s %7.2f %7.2f %7.2f\n", name, all[0].Seconds(), all[len(all)/2].Seconds(), all[len(all)-1].Seconds())
}

// startOf waits until the group has committed so many records of a topic.
func (b *bench) startOf(ctx context.Context, group, topic string, since time.Time) (one, all time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	position := committed(b.adm, group, topic)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := position(ctx)
		if err == nil && n > 0 && one == 0 {
			one = time.Since(since)
		}
		if n >= int64(b.records) {
			return one, time.Since(since), nil
		}
		select {
		case <-ctx.Done():
			return one, 0, ctx.Err()
		case <-tick.C:
		}
	}
}
