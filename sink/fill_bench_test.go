//go:build integration

package sink

import (
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// BenchmarkFill fills a table of some 250 bytes a row, whose keys come in any order, from a processed topic that is
// there: in the order of the topic, and in that of the keys, each on a MySQL of its own with a buffer pool of 64 MiB.
// MILLRACE_BENCH_ROWS is how many rows (1,000,000).
func BenchmarkFill(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("MILLRACE_BENCH_ROWS"))
	if err != nil {
		n = 1_000_000
	}
	for name, how := range map[string]sorts{"topic": {never: true}, "keys": {always: true}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				fillOnce(b, n, how)
			}
		})
	}
}

func fillOnce(b *testing.B, n int, how sorts) {
	server := testservers.NewMySQLWith(b, "--innodb-buffer-pool-size=64M", "--innodb-buffer-pool-chunk-size=1M")
	allowLoads(b, server.DSN(), true)
	w := newWorld(b, &pipeline.Pipeline{Database: pipeline.Database{MySQL: pipeline.Secret(server.DSN())}})
	w.pipeline.Streams[0].Sink.Columns = append(w.pipeline.Streams[0].Sink.Columns, pipeline.ColumnType{Name: "note", Type: "varchar(200)"})
	w.prepare = func(s *Sink) { s.sorts = how }
	w.scatter(n)
	ends, err := w.adm.ListEndOffsets(b.Context(), topics.Processed("p", "s"))
	if err != nil {
		b.Fatal(err)
	}
	var all int64
	for _, o := range ends[topics.Processed("p", "s")] {
		all += o.Offset
	}
	db := w.db()
	read, written := pages(b, db)
	began := time.Now()
	w.start("one", func(c *Config) { c.LoadRows = DefaultConfig().LoadRows })
	testkit.Eventually(b, time.Hour, func() error {
		var at int64
		if err := db.QueryRow("SELECT COALESCE(SUM(next_offset), 0) FROM millrace_offsets").Scan(&at); err != nil || at < all {
			return errors.Join(err, fmt.Errorf("at %d of %d", at, all))
		}
		return nil
	})
	took := time.Since(began)
	readNow, writtenNow := pages(b, db)
	var rows, bytes int64
	if _, err := db.Exec("ANALYZE TABLE things"); err != nil {
		b.Fatal(err)
	}
	if err := db.QueryRow("SELECT COUNT(*) FROM things").Scan(&rows); err != nil || rows != int64(n) {
		b.Fatalf("%d rows, %v; want %d", rows, err, n)
	}
	if err := db.QueryRow("SELECT data_length FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'things'").Scan(&bytes); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(took.Seconds(), "s/fill")
	b.ReportMetric(float64(n)/took.Seconds(), "rows/s")
	b.ReportMetric(float64(bytes)/(1<<20), "MiB")
	b.ReportMetric(float64(readNow-read)/float64(n), "pages_read/row")
	b.ReportMetric(float64(writtenNow-written)/float64(n), "pages_written/row")
}

// pages are those that the server has read and written so far.
func pages(b *testing.B, db *sql.DB) (read, written int64) {
	b.Helper()
	for name, into := range map[string]*int64{"Innodb_pages_read": &read, "Innodb_pages_written": &written} {
		if err := db.QueryRow("SELECT variable_value FROM performance_schema.global_status WHERE variable_name = ?", name).Scan(into); err != nil {
			b.Fatal(err)
		}
	}
	return read, written
}

// scatter produces n rows, whose keys are in any order.
func (w *world) scatter(n int) {
	w.t.Helper()
	note := make([]byte, 90)
	dice := rand.NewChaCha8([32]byte{1})
	var batch []*kgo.Record
	for i, id := range rand.New(rand.NewPCG(1, 1)).Perm(n) {
		r := w.record(fmt.Sprintf("key-%09d", id), i)
		_, _ = dice.Read(note)
		r.Value = fmt.Appendf(nil, `{"id":%q,"n":%d,"note":%q}`, r.Key, i, hex.EncodeToString(note))
		if batch = append(batch, r); len(batch) == 5000 || i == n-1 {
			w.send(batch...)
			batch = batch[:0]
		}
	}
}
