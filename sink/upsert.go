package sink

import (
	"context"
	"errors"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// upsert sends changes, in key order: many in bulk, where the database has such a way, and others in as few
// statements as their sizes allow.
func (w *writer) upsert(ctx context.Context, t *rows.Table, changes []*rows.Change) error {
	u := w.store.upserts[t]
	for bulk := u.Bulk; len(changes) > 0; {
		if n := bulkRows(bulk, len(changes), w.store.cfg.LoadRows); n > 0 {
			done, err := bulk.Upsert(ctx, w.session, changes[:n])
			if errors.Is(err, dialect.ErrBulk) {
				return err
			}
			if err != nil {
				return &faultError{t, err}
			}
			if done {
				changes = changes[n:]
				continue
			}
			bulk = nil // one of these rows did not fit: INSERT finds it
		}
		n := w.assemble(u.Insert, u.Merge, changes, func(dst []byte, _ int, x *rows.Change) []byte {
			return dialect.AppendRow(dst, w.store.dialect, x)
		})
		if err := w.exec(ctx, string(w.sql)); err != nil {
			return w.onTable(t, "upsert into", err)
		}
		changes = changes[n:]
	}
	return nil
}

// bulkRows is how many of n rows go in bulk, which pays from so many.
func bulkRows(b dialect.Bulk, n, from int) int {
	if b == nil || n < from {
		return 0
	}
	if n = b.Rows(n); n < from {
		return 0
	}
	return n
}

// assemble writes an INSERT of the first changes, at least one, and says how many they are.
func (w *writer) assemble(head, merge string, changes []*rows.Change, appendRow func(dst []byte, i int, x *rows.Change) []byte) int {
	w.sql = append(w.sql[:0], head...)
	n := 0
	for n < min(len(changes), w.store.cfg.StatementRows) {
		before := len(w.sql)
		if n > 0 {
			w.sql = append(w.sql, ',')
		}
		w.sql = appendRow(w.sql, n, changes[n])
		if n > 0 && len(w.sql)+len(merge) > w.store.bytes {
			w.sql = w.sql[:before]
			break
		}
		n++
	}
	w.sql = append(w.sql, merge...)
	return n
}
