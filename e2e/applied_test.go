//go:build integration

package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
)

// watchRows has MySQL note each row that a committed transaction wrote, or tried to write over a newer one: the tables
// do not show what was applied twice, since versions make it harmless. It waits for the sink's tables.
func (w *world) watchRows(ctx context.Context) error {
	for _, stream := range w.watched() { // a table each: who locks a stream's table also locks what its trigger writes to
		_, err := w.db.ExecContext(ctx, fmt.Sprintf("CREATE TABLE applied_%s (id VARCHAR(40) COLLATE utf8mb4_0900_bin, version VARBINARY(32))", stream))
		if err != nil {
			return err
		}
		err = testkit.Until(ctx, 3*time.Minute, func() error {
			_, err := w.db.ExecContext(ctx, fmt.Sprintf(`CREATE TRIGGER apply_%s BEFORE INSERT ON %[1]s FOR EACH ROW
				INSERT INTO applied_%[1]s VALUES (NEW.id, NEW._mr_version)`, stream))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// application is a processed record's row.
type application struct{ stream, id, version string }

// applied adds to c the records that were applied more often than they are in the processed topics, copies included.
func (w *world) applied(ctx context.Context, c *comparison) error {
	records := map[application]int{}
	var applied []string
	for _, stream := range w.watched() {
		applied = append(applied, fmt.Sprintf("SELECT '%s' AS stream, id, version, COUNT(*) FROM applied_%[1]s GROUP BY id, version", stream))
		err := testkit.Read(ctx, w.brokers, topics.Processed(w.pipeline, stream), func(r *kgo.Record) {
			if version, ok := topics.Header(r, topics.HeaderVersion); ok && r.Value != nil {
				records[application{stream, string(r.Key), string(version)}]++
			}
		})
		if err != nil {
			return err
		}
	}
	if len(applied) == 0 {
		return nil
	}
	rows, err := w.db.QueryContext(ctx, strings.Join(applied, " UNION ALL "))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var a application
		var n int
		if err := rows.Scan(&a.stream, &a.id, &a.version, &n); err != nil {
			return err
		}
		c.counts["applied"] += n
		if there := records[a]; n > there {
			v, err := topics.ParseVersion([]byte(a.version))
			if err != nil {
				return err
			}
			c.wrongf("table %s: %s at raw offset %d was applied %d times, and is in the processed topic %d times", a.stream, a.id, v.Offset(), n, there)
		}
	}
	return rows.Err()
}
