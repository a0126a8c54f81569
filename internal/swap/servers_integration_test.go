//go:build integration

package swap_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/swap"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testworld"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
)

// onServers is Kafka and MySQL.
func onServers(t *testing.T, s pipeline.Stream) *world {
	t.Helper()
	return &world{testworld.OnServers(t, s, partitions)}
}

// TestSwapOnServers: on Kafka and MySQL a line is built, compared, swapped, taken back and swapped again, while records
// come and readers read; the driver is killed once in between, and what somebody has changed in the new table is found.
// A long transaction from before the line was complete is waited for. In the end both tables are what fresh runs make.
func TestSwapOnServers(t *testing.T) {
	w := onServers(t, doubles)
	w.begin(300)
	stop, read := w.Traffic(300), w.readers()
	old, err := w.DB.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := old.QueryRow("SELECT COUNT(*) FROM millrace_owners").Scan(&n); err != nil {
		t.Fatal(err)
	}
	w.shadow(doubles2)
	x := w.lines(doubles2)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	d, err := x.Diff(ctx, swap.DiffAsk{Wait: testworld.Patience})
	if err != nil || !d.Key || d.Differ != 0 || d.Only != [2]int64{} {
		t.Fatalf("%+v, %v", d, err)
	}
	// it is no column of the other table
	if _, err := w.DB.Exec("UPDATE t__g2 SET status = 'open' WHERE id = 1001"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.DB.Exec("UPDATE t__g2 SET n = n + 1 WHERE id = 1002"); err != nil {
		t.Fatal(err)
	}
	if d, err = x.Diff(ctx, swap.DiffAsk{Wait: testworld.Patience}); err != nil || d.Differ != 1 || d.Columns["n"] != 1 || d.Examples[0].Key != "1002" {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := w.DB.Exec("UPDATE t__g2 SET n = 2 * id, status = 'OPEN' WHERE id IN (1001, 1002)"); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Swap(ctx, swap.Ask{Wait: 20 * time.Second}); !refused(err, "has a transaction since") {
		t.Errorf("%v, want that an old transaction is named", err)
	}
	if err := old.Commit(); err != nil {
		t.Fatal(err)
	}
	w.must(x, swap.Ask{}, 2)
	killed := w.lines(doubles2)
	killed.Driver = func(d *sink.Swapper) {
		d.After = func(statement string) error {
			if strings.HasPrefix(statement, "RENAME") {
				d.Abandon()
				return errors.New("killed")
			}
			return nil
		}
	}
	_, err = killed.Swap(ctx, swap.Ask{Back: true, Wait: testworld.Patience})
	for takenBack(err) && ctx.Err() == nil {
		_, err = killed.Swap(ctx, swap.Ask{Back: true, Wait: testworld.Patience})
	}
	if err == nil {
		t.Error("the rollback continued")
	}
	testkit.Eventually(t, testworld.Patience, testkit.That("line 1 is live", func() bool { return w.Decided().LiveNumber() == 1 }))
	w.must(x, swap.Ask{}, 2)
	stop()
	w.Becomes("t", twice)
	w.Becomes("t__g1", double)
	w.must(x, swap.Ask{Back: true}, 1)
	w.Becomes("t", double)
	read()
	if _, err := x.Drop(ctx, 2); err != nil {
		t.Error(err)
	}
	if _, err := w.Read("t__g2"); err == nil {
		t.Error("the table that was dropped is there")
	}
}
