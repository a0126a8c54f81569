//go:build integration

package sink

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/rows"
)

// BenchmarkApply measures what the writers do, from records to committed rows, beside LOAD DATA of the same rows on
// as many connections. MILLRACE_BENCH_ROWS is how many (100,000), MILLRACE_BENCH_WRITERS how many writers (2),
// MILLRACE_BENCH_BATCH the records of a batch (20,000).
func BenchmarkApply(b *testing.B) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv("MILLRACE_BENCH_" + name)); err == nil {
			return n
		}
		return otherwise
	}
	n, writers, batch := number("ROWS", 100_000), number("WRITERS", 2), number("BATCH", 20_000)
	dsn := testservers.MySQL(b)
	allowLoads(b, dsn, true)
	b.Cleanup(func() { allowLoads(b, dsn, false) }) // the server is shared
	p := &pipeline.Pipeline{Name: "p", Database: pipeline.Database{MySQL: pipeline.Secret(dsn)}}
	t := rows.NewTable(&pipeline.Stream{Name: "s", Sink: flightsTable})
	d, err := newDialect(p)
	if err != nil {
		b.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.StatementBytes, cfg.StatementRows = number("BYTES", cfg.StatementBytes), number("STATEMENT", cfg.StatementRows)
	s := &store{dialect: d, cfg: cfg, owner: "bench", pipeline: "p"}
	if err := s.open(); err != nil {
		b.Fatal(err)
	}
	defer s.close()
	rate := map[string]float64{}
	for b.Loop() {
		for _, statement := range []string{"DROP TABLE IF EXISTS flights", "DROP TABLE IF EXISTS millrace_offsets"} {
			if _, err := s.db.Exec(statement); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.prepare(b.Context(), map[string]*rows.Table{topic: t}); err != nil {
			b.Fatal(err)
		}
		if err := s.prepareTable(b.Context(), topic, t); err != nil {
			b.Fatal(err)
		}
		var claims []*claim
		for partition := range int32(benchPartitions) {
			c := &claim{topic: topic, partition: partition, table: t}
			if err := s.claimOne(b.Context(), c, noLog, 0); err != nil {
				b.Fatal(err)
			}
			claims = append(claims, c)
		}
		for round, what := range []string{"insert", "update"} {
			records := flights(n, round+1)
			started := time.Now()
			var group sync.WaitGroup
			for i := range writers {
				group.Go(func() { applyAll(b, s, claims, records, i, writers, batch) })
			}
			group.Wait()
			rate[what] += float64(n) / time.Since(started).Seconds()
		}
		for what, r := range loadAll(b, s.db, writers) {
			rate[what] += r
		}
	}
	for what, r := range rate {
		b.ReportMetric(r/float64(b.N), what+"_rows/s")
	}
	b.ReportMetric(100*rate["insert"]/rate["load"], "insert_%")
	b.ReportMetric(100*rate["update"]/rate["reload"], "update_%")
}

// applyAll applies the records of every writers-th partition in batches.
func applyAll(b *testing.B, s *store, claims []*claim, records [benchPartitions][]*kgo.Record, first, writers, batch int) {
	w, d := newWriter(s), rows.NewDecoder()
	defer w.disconnect()
	for {
		j := &job{}
		for partition := first; partition < benchPartitions; partition += writers {
			if c := claims[partition]; len(records[partition]) > 0 {
				n := min(len(records[partition]), batch/(benchPartitions/writers))
				j.polled = append(j.polled, polled{c, c.next, records[partition][:n]})
				j.records += n
				records[partition] = records[partition][n:]
			}
		}
		if j.records == 0 {
			return
		}
		x := newBatch(d, j)
		if _, err := w.apply(b.Context(), x); err != nil {
			b.Error(err)
			return
		}
		for _, m := range x.moves {
			m.claim.next, m.claim.high = m.next, m.high
		}
	}
}

// loadAll measures LOAD DATA … REPLACE of the rows that are in the table, in key order, into the emptied table and
// again.
func loadAll(b *testing.B, db *sql.DB, connections int) map[string]float64 {
	found, err := db.Query("SELECT * FROM flights")
	if err != nil {
		b.Fatal(err)
	}
	var lines []string
	values := make([]sql.NullString, len(flightsTable.Columns)+1)
	targets := make([]any, len(values))
	for i := range values {
		targets[i] = &values[i]
	}
	for found.Next() {
		if err := found.Scan(targets...); err != nil {
			b.Fatal(err)
		}
		var l []string
		for _, v := range values[:len(values)-1] {
			l = append(l, v.String)
		}
		lines = append(lines, strings.Join(append(l, hex.EncodeToString([]byte(values[len(values)-1].String))), "\t")+"\n")
	}
	_ = found.Close()
	if _, err := db.Exec("TRUNCATE flights"); err != nil {
		b.Fatal(err)
	}
	out := map[string]float64{}
	for _, what := range []string{"load", "reload"} {
		started := time.Now()
		var group sync.WaitGroup
		i := 0
		for share := range slices.Chunk(lines, (len(lines)+connections-1)/connections) {
			name := fmt.Sprint("share", i)
			i++
			mysql.RegisterReaderHandler(name, func() io.Reader { return strings.NewReader(strings.Join(share, "")) })
			group.Go(func() {
				defer mysql.DeregisterReaderHandler(name)
				if _, err := db.ExecContext(context.Background(), "LOAD DATA LOCAL INFILE 'Reader::"+name+
					"' REPLACE INTO TABLE flights (flight_key, carrier, flight, origin, dest, dep_delay, arr_delay, distance, speed_kmh, time_hour, @v) SET _mr_version = UNHEX(@v)"); err != nil {
					b.Error(err)
				}
			})
		}
		group.Wait()
		out[what] = float64(len(lines)) / time.Since(started).Seconds()
		for i, l := range lines {
			lines[i] = strings.Replace(l, "\t1400\t", "\t1401\t", 1)
		}
	}
	return out
}
