package sink

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// olderRows is the condition for rows whose raw records are of an earlier raw topic than the one of now, or were there when the table's epoch
// was raised; empty: there are none.
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

// firstOf is the number of the first epoch of a raw topic. One that was given more partitions has several, and the rows of all are of records
// that it has.
func firstOf(ascending []control.Epoch, rawTopicID string) uint16 {
	for _, e := range ascending {
		if e.RawTopicID == rawTopicID {
			return e.Number
		}
	}
	return 0
}

// Older counts the rows of a stream's table that no record of its raw topic of now has made, of is what is decided about the stream; and all rows.
// It reads the whole table, without locks, and only if the raw topic was ever made anew or the table's epoch raised.
func (a *Admin) Older(ctx context.Context, stream string, of *control.Stream) (older, all int64, err error) {
	st, is, err := a.owned(ctx, stream)
	if err != nil {
		return 0, 0, err
	}
	where := a.olderRows(is, of)
	if where == "" || is.pipeline != a.pipeline.Name || is.stream != stream {
		return 0, 0, nil
	}
	table := dialect.Quote(st.Sink.Name())
	query := "SELECT (SELECT COUNT(*) FROM " + table + where + "), (SELECT COUNT(*) FROM " + table + ")"
	if err := a.store.db.QueryRowContext(ctx, query).Scan(&older, &all); err != nil {
		return 0, 0, fmt.Errorf("sink: stream %s: count older rows: %w", stream, a.store.dialect.Classify(err))
	}
	return older, all, nil
}

// owned is a stream, and what is known of its table's owner.
func (a *Admin) owned(ctx context.Context, stream string) (*pipeline.Stream, owned, error) {
	st, err := a.stream(stream)
	if err != nil {
		return nil, owned{}, fmt.Errorf("sink: %w", err)
	}
	is, err := a.store.ownedNow(ctx, a.store.db, st.Sink.Name())
	if err != nil && !a.store.dialect.Missing(err) {
		return nil, owned{}, fmt.Errorf("sink: stream %s: owner: %w", stream, a.store.dialect.Classify(err))
	}
	return st, is, nil
}

// DeleteOlder deletes the rows that Older counts, and returns how many. Who calls it has seen to it that all that the source shows was fetched
// and written since. The errors are SetMarking's.
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
