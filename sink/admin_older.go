package sink

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// olderRows is the condition for rows whose raw records are of an earlier raw topic than the current one, or were there
// when the table's epoch was raised; empty: there are none.
func (a *Admin) olderRows(is owned, of *control.Stream) string {
	epoch := is.epoch
	if n := len(of.Epochs); n > 0 {
		epoch += firstOf(of.Epochs, of.Epochs[n-1].RawTopicID)
	}
	if epoch == 0 {
		return ""
	}
	limit := a.store.dialect.AppendLiteral(nil, rows.Value{Form: rows.Bytes, Bytes: binary.BigEndian.AppendUint16(nil, epoch)})
	return " WHERE LENGTH(" + rows.VersionColumn + ") >= 18 AND SUBSTR(" + rows.VersionColumn + ", 9, 2) < " + string(limit)
}

// firstOf is the number of the first epoch of a raw topic. One that was given more partitions has several, and the rows
// of all are of records that it has.
func firstOf(ascending []control.Epoch, rawTopicID string) uint16 {
	for _, e := range ascending {
		if e.RawTopicID == rawTopicID {
			return e.Number
		}
	}
	return 0
}

// Older counts the rows of a stream's table that no record of its current raw topic has made, of is what is decided
// about the stream; and all rows. It reads the whole table, and only if the raw topic was ever recreated or the table's
// epoch raised. It locks no row; a swap waits for it. While tables are being renamed it waits.
func (a *Admin) Older(ctx context.Context, stream string, of *control.Stream) (older, all int64, err error) {
	st, err := a.stream(stream)
	if err != nil {
		return 0, 0, fmt.Errorf("sink: %w", err)
	}
	for wait := stage.NewBackoff(); ; {
		older, all, err := a.countOlder(ctx, rows.NewTable(st), of)
		if err == nil {
			return older, all, nil
		}
		if !isSwap(err) || stage.Sleep(ctx, wait.NextBackOff()) != nil {
			return 0, 0, fmt.Errorf("sink: stream %s: count older rows: %w", stream, a.store.dialect.Classify(err))
		}
	}
}

// countOlder is Older, in one transaction: the databases rename no table that it has read. The error is errSwapping if
// t was renamed before.
func (a *Admin) countOlder(ctx context.Context, t *rows.Table, of *control.Stream) (older, all int64, err error) {
	tx, err := a.store.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = tx.Rollback() }()
	name, is, err := a.store.mineNow(ctx, tx, t)
	if a.store.dialect.Missing(err) {
		return 0, 0, nil
	}
	where := a.olderRows(is, of)
	if err != nil || is.pipeline == "" || where == "" {
		return 0, 0, err
	}
	table := dialect.Quote(name)
	query := "SELECT (SELECT COUNT(*) FROM " + table + where + "), (SELECT COUNT(*) FROM " + table + ")"
	failed := tx.QueryRowContext(ctx, query).Scan(&older, &all)
	if now, _, err := a.store.mineNow(ctx, tx, t); err != nil {
		return 0, 0, cmp.Or(failed, err)
	} else if now != name {
		return 0, 0, errSwapping
	}
	if err := a.store.renaming(ctx, tx, name); err != nil && !a.store.dialect.Missing(err) {
		return 0, 0, err
	}
	return older, all, failed
}

// DeleteOlder deletes the rows that Older counts, and returns how many. Who calls it has seen to it that all that the
// source shows was fetched and written since. The errors are SetMarking's.
func (a *Admin) DeleteOlder(ctx context.Context, stream string, of *control.Stream) (deleted int64, err error) {
	if err := a.change(ctx, stream, func(ctx context.Context, conn *sql.Conn, table string) error {
		is, err := a.store.ownedNow(ctx, conn, table)
		where := a.olderRows(is, of)
		if err != nil || where == "" {
			return err
		}
		result, err := conn.ExecContext(ctx, "DELETE FROM "+dialect.Quote(table)+where)
		if err != nil {
			return err
		}
		if deleted, err = result.RowsAffected(); err != nil {
			return err
		}
		return a.store.forgetWitnesses(ctx, conn, topics.Processed(a.pipeline.Name, stream)) // one may be such a row
	}); err != nil {
		return 0, fmt.Errorf("sink: stream %s: delete older rows: %w", stream, err)
	}
	return deleted, nil
}
