//go:build integration

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/e2e/proxy"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/topics"
)

// takeOver is how long it may take until the work of a frozen process goes on: 10 s or so, longer on a busy machine.
const takeOver = 2 * time.Minute

// victim is a stage of which a process is frozen.
type victim struct {
	stage   string
	link    func(*watched) *proxy.Proxy                        // where its commits pass
	owns    func(*world, context.Context, string) error        // nil if that process owns some of the work
	written func(*world, context.Context) (any, error)         // all that the stage has written, to compare
	moments map[string]func(proxy.Passage) (holdsItThere bool) // when it is frozen
}

// A sink with its first statement held has read what it wants to write, and nothing more; with its COMMIT held, its
// transaction is complete and holds the locks.
var frozenSink = victim{
	stage: "sink", link: func(p *watched) *proxy.Proxy { return p.mysql },
	owns: (*world).owns, written: (*world).database,
	moments: map[string]func(proxy.Passage) bool{
		"before its transaction": func(x proxy.Passage) bool {
			return strings.Contains(x.What, "SET o.next_offset = m.moved")
		},
		"inside its transaction": proxy.Passage.Commits,
	},
}

// Of an ingest with its first records held, the brokers know no transaction yet; with its commit held, records and
// cursor are with the brokers.
var frozenIngest = victim{
	stage: "ingest", link: func(p *watched) *proxy.Proxy { return p.kafka },
	owns: (*world).claims, written: (*world).rawRecords,
	moments: map[string]func(proxy.Passage) bool{
		"before its records":     func(x proxy.Passage) bool { return x.What == "Produce" },
		"inside its transaction": proxy.Passage.Commits,
	},
}

func TestFrozenSink(t *testing.T)   { testFrozen(t, frozenSink) }
func TestFrozenIngest(t *testing.T) { testFrozen(t, frozenIngest) }

func testFrozen(t *testing.T, v victim) {
	for name, moment := range v.moments {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, seed(t), testservers.Kafka(t), testservers.MySQL(t), nil)
			if err := w.frozen(v, moment); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// frozen freezes one of two processes at a moment until the other has taken over and moved on. Then it goes on: it must
// write nothing, say that it was fenced, and rejoin.
func (w *world) frozen(v victim, moment func(proxy.Passage) bool) error {
	ctx := w.t.Context()
	name, other := v.stage+"-1", v.stage+"-2"
	one := w.through(name)
	one.start()
	w.fleet.startAll(other)
	for _, p := range []string{"sink-1", "processor-1", "ingest-1"} {
		if p != name {
			w.fleet.startAll(p)
		}
	}
	if err := w.watchOffsets(ctx); err != nil {
		return err
	}
	if err := testkit.Until(ctx, 3*time.Minute, func() error { return v.owns(w, ctx, name) }); err != nil {
		return err
	}
	busy, rest := context.WithCancel(ctx)
	defer rest()
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		w.changes(busy, 1_000_000, 2000*time.Second)
	}()
	if err := testkit.Until(ctx, 3*time.Minute, func() error { return w.rows(ctx) }); err != nil {
		return err
	}
	z := one.freeze(v.link(one), moment)
	if err := z.await(ctx, 2*time.Minute); err != nil {
		return err
	}
	since := time.Now()
	logged := len(z.process.log.String())
	err := testkit.Until(ctx, takeOver, func() error {
		if v.owns(w, ctx, name) == nil {
			return fmt.Errorf("%s is frozen, and still an owner", name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.t.Logf("%s took over %v after %s was frozen", other, time.Since(since).Round(100*time.Millisecond), name)
	rest()
	<-changed
	if err := w.settle(ctx, 3*time.Minute); err != nil {
		return fmt.Errorf("with %s frozen: %w", name, err)
	}
	before, err := v.written(w, ctx)
	if err != nil {
		return err
	}
	z.thaw()
	if err := z.process.logsTaken(ctx, logged); err != nil {
		return err
	}
	w.t.Logf("%s says:\n%s", name, z.process.since(logged))
	if err := testkit.Until(ctx, 3*time.Minute, func() error { return v.owns(w, ctx, name) }); err != nil {
		return fmt.Errorf("it does not rejoin: %w\n%s", err, z.process.tail(20))
	}
	after, err := v.written(w, ctx)
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("%s wrote after %s had taken over:\nbefore:\n%v\nafter:\n%v", name, other, before, after)
	}
	w.fleet.stop(other) // now all is the first one's
	w.changes(ctx, 500, time.Second)
	return w.agrees(ctx)
}

// agrees lets everything settle and compares.
func (w *world) agrees(ctx context.Context) error {
	c, err := w.verdict(ctx, 5*time.Minute)
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
	for _, stream := range w.source.names {
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
func (w *world) database(ctx context.Context) (any, error) {
	var b strings.Builder
	queries := []string{"SELECT 'millrace_offsets', topic, part, next_offset, HEX(high) FROM millrace_offsets ORDER BY topic, part"}
	for _, stream := range w.source.names {
		queries = append(queries, fmt.Sprintf("SELECT '%s', COUNT(*), SUM(CRC32(CONCAT_WS('|', id, rev, amount, note, HEX(_mr_version)))), '', '' FROM %[1]s", stream))
	}
	for _, query := range queries {
		rows, err := w.db.QueryContext(ctx, query)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			values := make([]string, 5)
			if err := rows.Scan(&values[0], &values[1], &values[2], &values[3], &values[4]); err != nil {
				return nil, err
			}
			fmt.Fprintln(&b, strings.Join(values, " "))
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
		_ = rows.Close()
	}
	return b.String(), nil
}

// claims is nil if that ingest was the last to claim a partition of the state topic that has a slice.
func (w *world) claims(ctx context.Context, ingest string) error {
	owner := map[int32]string{}
	slice := map[int32]bool{}
	err := testkit.Read(ctx, w.brokers, topics.IngestState(w.pipeline), func(r *kgo.Record) {
		if string(r.Key) == "claim" {
			owner[r.Partition] = string(r.Value)
		} else {
			slice[r.Partition] = true
		}
	})
	if err != nil {
		return err
	}
	for partition := range slice {
		if owner[partition] == ingest {
			return nil
		}
	}
	return fmt.Errorf("%s has no slice; owners are %v", ingest, owner)
}

// rawRecords counts those that readers of committed records see.
func (w *world) rawRecords(ctx context.Context) (any, error) {
	n := 0
	for _, stream := range w.source.names {
		if err := testkit.Read(ctx, w.brokers, topics.Raw(w.pipeline, stream), func(*kgo.Record) { n++ }); err != nil {
			return nil, err
		}
	}
	return n, nil
}
