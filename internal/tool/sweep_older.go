package tool

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/reset"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// older deletes the rows that only an earlier raw topic, which is gone, has made: the complete pass has written all
// that the API shows once more, so that they are of keys that it did not show. Tombstones cannot do it, for their raw
// keys are gone with the topic.
func (x *sweeping) older(ctx context.Context) error {
	all, err := runningLines(ctx, x.operation.opts, x.Pipeline, x.stream())
	if err != nil {
		return err
	}
	for _, line := range all {
		if err := x.olderIn(ctx, line); err != nil {
			return err
		}
	}
	return nil
}

// olderIn is older of one line.
func (x *sweeping) olderIn(ctx context.Context, line *pipeline.Pipeline) error {
	table, err := sink.OpenAdmin(line)
	if err != nil {
		return err
	}
	defer table.Close()
	of, err := decidedAbout(ctx, x.operation.opts, line, x.stream())
	if err != nil {
		return err
	}
	older, _, err := table.Older(ctx, x.stream(), of)
	if err != nil || older == 0 {
		return err
	}
	called := line.Stream(x.stream()).Sink.Name()
	if x.cfg.Stream.Ingest.Version != "" {
		x.sayf("%s of the table %s are of an earlier raw topic; as the stream has a version, the API may show some of them with a lower one, so they stay",
			count(int(older), "row"), called)
		return nil
	}
	if err := x.through(ctx, line, table); err != nil {
		return err
	}
	older, all, err := table.Older(ctx, x.stream(), of)
	if err != nil || older == 0 {
		return err
	}
	if err := x.allowOlder(older, all, called); err != nil {
		return err
	}
	deleted, err := table.DeleteOlder(ctx, x.stream(), of)
	if err != nil {
		return err
	}
	x.done.Sweep.Rows += deleted
	x.sayf("%s deleted", count(int(deleted), "row"))
	return nil
}

// allowOlder says how many rows, of all, are to be deleted, and asks where they are more than the limit.
func (x *sweeping) allowOlder(older, all int64, table string) error {
	limit, share := x.flags.limit, 100*float64(older)/float64(max(all, 1))
	x.sayf("%s of the table %s, of %d, are of an earlier raw topic, and were not shown (%.1f %%)", count(int(older), "row"), table, all, share)
	if share <= limit {
		return nil
	}
	if err := confirm(x.cmd, false, fmt.Sprintf("That is more than --sweep-limit %v. Delete them?", limit)); err != nil {
		return fmt.Errorf("they were not deleted: %.1f %% of the rows are more than --sweep-limit %v; with a higher one, run the command again", share, limit)
	}
	return nil
}

// through waits until all that is in the raw topic now is in the table.
func (x *sweeping) through(ctx context.Context, line *pipeline.Pipeline, table *sink.Admin) error {
	adm := kadm.NewClient(x.client)
	raw, processed := topics.RawOf(line, x.stream()), topics.Processed(line.Name, x.stream())
	err := awaitAll(ctx, x.cfg, adm, raw, func() (map[int32]int64, error) {
		of, err := decidedAbout(ctx, x.operation.opts, line, x.stream())
		if err != nil {
			return nil, err
		}
		next, err := control.Next(ctx, x.client, topics.ProcessorGroup(line.Name), map[string]*control.Stream{raw: of})
		return next[raw], err
	}, func(left int64) { x.sayf("waiting for the processors, which have %d records left", left) })
	if err != nil {
		return err
	}
	return awaitAll(ctx, x.cfg, adm, processed, func() (map[int32]int64, error) {
		positions, err := table.Positions(ctx, x.stream())
		at := map[int32]int64{}
		for n, p := range positions {
			at[n] = p.Next
		}
		return at, err
	}, func(left int64) { x.sayf("waiting for the sinks, which have %d records left", left) })
}

// awaitAll waits until the positions in a topic have passed all that it holds now, and tells how much is left when that
// changes.
func awaitAll(
	ctx context.Context, cfg reset.Config, adm *kadm.Client, topic string, at func() (map[int32]int64, error), tell func(left int64),
) error {
	ends, err := admin.Ends(ctx, adm, topic)
	if err != nil {
		return err
	}
	for told := int64(0); ; {
		now, err := at()
		if err != nil {
			return err
		}
		left, err := reset.Behind(ctx, cfg, topic, now, ends)
		if err != nil || left == 0 {
			return err
		}
		if left != told {
			tell(left)
			told = left
		}
		if err := stage.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}
