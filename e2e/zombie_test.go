//go:build integration

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/e2e/proxy"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/topics"
)

// takeOver is how long the work of a frozen process may rest.
const takeOver = 20 * time.Second

// moments are when a process is frozen.
type moments map[string]func(proxy.Passage) bool

// sinkMoments: with its first statement held, the sink has read what it wants to write, and nothing more; with its COMMIT
// held, its transaction is complete and holds the locks.
var sinkMoments = moments{
	"before its transaction": func(x proxy.Passage) bool {
		return strings.HasPrefix(x.What, "UPDATE millrace_offsets SET next_offset")
	},
	"inside its transaction": func(x proxy.Passage) bool { return x.Commits() },
}

// ingestMoments: with its first records held, the brokers know of no transaction yet; with its commit held, records
// and cursor are with the brokers.
var ingestMoments = moments{
	"before its records": func(x proxy.Passage) bool { return x.What == "Produce" },
	"inside its transaction": func(x proxy.Passage) bool {
		return x.Commits()
	},
}

func TestFrozenSink(t *testing.T) {
	for name, moment := range sinkMoments {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, seed(t), testservers.Kafka(t), testservers.MySQL(t), "")
			if err := w.frozenSink(moment, ""); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestFrozenIngest(t *testing.T) {
	for name, moment := range ingestMoments {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, seed(t), testservers.Kafka(t), testservers.MySQL(t), "")
			if err := w.frozenIngest(moment, ""); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// frozenSink freezes one of two sinks at a moment until the other has taken over and moved on. Then it goes on: it must
// write nothing, say that it was fenced, and rejoin.
func (w *world) frozenSink(moment func(proxy.Passage) bool, tags string, env ...string) error {
	ctx := w.t.Context()
	one := w.through("sink-1", tags, env...)
	one.start()
	w.fleet.startAll("sink-2")
	if err := w.watchOffsets(ctx); err != nil {
		return err
	}
	w.fleet.startAll("ingest-1", "processor-1")
	if err := until(ctx, time.Minute, func() error { return w.owns(ctx, "sink-1") }); err != nil {
		return err
	}
	busy, rest := context.WithCancel(ctx)
	defer rest()
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		w.changes(busy, 1_000_000, 2000*time.Second)
	}()
	if err := until(ctx, time.Minute, func() error { return w.rows(ctx) }); err != nil {
		return err
	}
	z := one.freeze(one.mysql, moment)
	if err := z.await(ctx, 30*time.Second); err != nil {
		return err
	}
	since := time.Now()
	said := len(z.process.log.String())
	err := until(ctx, takeOver, func() error {
		if w.owns(ctx, "sink-1") == nil {
			return errors.New("sink-1 is frozen, and still the owner of partitions")
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.t.Logf("another sink took over %v after sink-1 was frozen", time.Since(since).Round(100*time.Millisecond))
	rest()
	<-changed
	if err := w.settle(ctx, time.Minute); err != nil {
		return fmt.Errorf("with sink-1 frozen: %w", err)
	}
	before, err := w.database(ctx)
	if err != nil {
		return err
	}
	z.thaw()
	if err := z.process.saysTaken(ctx, said); err != nil {
		return err
	}
	w.t.Log("sink-1 says:\n" + z.process.since(said))
	if err := until(ctx, time.Minute, func() error { return w.owns(ctx, "sink-1") }); err != nil {
		return fmt.Errorf("it does not rejoin: %w\n%s", err, z.process.tail(20))
	}
	after, err := w.database(ctx)
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("the frozen sink wrote after another had taken over:\nbefore:\n%s\nafter:\n%s", before, after)
	}
	w.fleet.stop("sink-2") // now all is sink-1's
	w.changes(ctx, 500, time.Second)
	return w.agrees(ctx)
}

// frozenIngest is frozenSink for ingest.
func (w *world) frozenIngest(moment func(proxy.Passage) bool, tags string, env ...string) error {
	ctx := w.t.Context()
	one := w.through("ingest-1", tags, env...)
	one.start()
	w.fleet.startAll("ingest-2", "processor-1", "sink-1")
	if err := w.watchOffsets(ctx); err != nil {
		return err
	}
	if err := until(ctx, time.Minute, func() error { return w.claims(ctx, "ingest-1") }); err != nil {
		return err
	}
	busy, rest := context.WithCancel(ctx)
	defer rest()
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		w.changes(busy, 1_000_000, 2000*time.Second)
	}()
	if err := until(ctx, time.Minute, func() error { return w.rows(ctx) }); err != nil {
		return err
	}
	z := one.freeze(one.kafka, moment)
	if err := z.await(ctx, 30*time.Second); err != nil {
		return err
	}
	since := time.Now()
	said := len(z.process.log.String())
	err := until(ctx, takeOver, func() error {
		if w.claims(ctx, "ingest-1") == nil {
			return errors.New("ingest-1 is frozen, and still the owner of slices")
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.t.Logf("another ingest took over %v after ingest-1 was frozen", time.Since(since).Round(100*time.Millisecond))
	rest()
	<-changed
	if err := w.settle(ctx, time.Minute); err != nil {
		return fmt.Errorf("with ingest-1 frozen: %w", err)
	}
	before, err := w.rawRecords(ctx)
	if err != nil {
		return err
	}
	z.thaw()
	if err := z.process.saysTaken(ctx, said); err != nil {
		return err
	}
	w.t.Log("ingest-1 says:\n" + z.process.since(said))
	if err := until(ctx, time.Minute, func() error { return w.claims(ctx, "ingest-1") }); err != nil {
		return fmt.Errorf("it does not rejoin: %w\n%s", err, z.process.tail(20))
	}
	after, err := w.rawRecords(ctx)
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("the frozen ingest wrote after another had taken over: raw had %d records and has %d", before, after)
	}
	w.fleet.stop("ingest-2") // now all is ingest-1's
	w.changes(ctx, 500, time.Second)
	return w.agrees(ctx)
}

// agrees compares everything at rest.
func (w *world) agrees(ctx context.Context) error {
	c, err := w.verdict(ctx, 2*time.Minute)
	if err != nil {
		return err
	}
	w.t.Log(c)
	if n := c.counts["violations"]; n > 0 {
		return fmt.Errorf("%d violations: %s", n, c)
	}
	return nil
}

// owns is nil if that sink owns a partition.
func (w *world) owns(ctx context.Context, sink string) error {
	var n int
	err := w.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM millrace_offsets WHERE owner IS NOT NULL AND owner_name = ?", sink).Scan(&n)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s owns no partition", sink)
	}
	return err
}

// rows is nil if there are some in every table.
func (w *world) rows(ctx context.Context) error {
	for _, stream := range streamNames {
		var n int
		if err := w.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+stream).Scan(&n); err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("table %s has no rows", stream)
		}
	}
	return nil
}

// database is all that the sinks have written, but for who owns what.
func (w *world) database(ctx context.Context) (string, error) {
	var b strings.Builder
	queries := []string{"SELECT 'millrace_offsets', topic, part, next_offset, HEX(high) FROM millrace_offsets ORDER BY topic, part"}
	for _, stream := range streamNames {
		queries = append(queries, fmt.Sprintf("SELECT '%s', COUNT(*), SUM(CRC32(CONCAT_WS('|', id, rev, amount, note, HEX(_mr_version)))), '', '' FROM %[1]s", stream))
	}
	for _, query := range queries {
		rows, err := w.db.QueryContext(ctx, query)
		if err != nil {
			return "", err
		}
		for rows.Next() {
			values := make([]string, 5)
			if err := rows.Scan(&values[0], &values[1], &values[2], &values[3], &values[4]); err != nil {
				return "", err
			}
			fmt.Fprintln(&b, strings.Join(values, " "))
		}
		if err := rows.Err(); err != nil {
			return "", err
		}
		_ = rows.Close()
	}
	return b.String(), nil
}

// claims is nil if that ingest was the last to claim a partition of the state topic that has a slice.
func (w *world) claims(ctx context.Context, ingest string) error {
	owner := map[int32]string{}
	slice := map[int32]bool{}
	err := read(ctx, w.brokers, topics.IngestState(w.pipeline), func(r *kgo.Record) {
		if string(r.Key) == "claim" {
			owner[r.Partition] = string(r.Value)
		} else {
			slice[r.Partition] = true
		}
	})
	if err != nil {
		return err
	}
	for part := range slice {
		if owner[part] == ingest {
			return nil
		}
	}
	return fmt.Errorf("%s has no slice; owners are %v", ingest, owner)
}

// rawRecords counts those that readers of committed records see.
func (w *world) rawRecords(ctx context.Context) (n int, err error) {
	for _, stream := range streamNames {
		if err := read(ctx, w.brokers, topics.Raw(w.pipeline, stream), func(*kgo.Record) { n++ }); err != nil {
			return 0, err
		}
	}
	return n, nil
}
