package sink

import (
	"context"
	"slices"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// removeAtOnce is how many keys a DELETE names.
const removeAtOnce = 200

// remove deletes rows of lower versions, and marks the keys that had one.
//
// A mark is what keeps an older record from bringing a row back. In a stream without versions of the source, an older
// record is one at a raw position that was applied before. Then the row that it would bring back
//   - was in the table when the key was removed: the DELETE met it, and the key is marked;
//   - or was in this very batch, and never reached the table: HadRow knows;
//   - or was refused by the database, and waits in a letter: the removal finds its mark of version zero (markRefused);
//   - or was kept out by a mark, which the removal finds and raises.
//
// In a stream with versions, an older record may come for the first time after the removal, so every removal is marked.
// So it is during a redo, which brings older records for the first time too. A key whose DELETE shares a statement with
// a key that had a row is marked too: the mark is true all the same.
//
// A letter of the processor's has never been here. If its key was removed since, and never had a row, nothing here
// tells that the letter is old: whoever sends it again has to see that there is no newer raw record.
func (w *writer) remove(ctx context.Context, s *rows.Share, r *result) error {
	for group := range slices.Chunk(s.Removes, removeAtOnce) {
		w.sql = append(append(append(w.sql[:0], "DELETE FROM "...), dialect.Quote(s.Table.Name)...), " WHERE "...)
		w.older(s.Table, group)
		done, err := w.session.ExecContext(ctx, string(w.sql))
		if err != nil {
			return w.onTable(s.Table, "delete from", err)
		}
		n, err := done.RowsAffected()
		if err != nil {
			return err
		}
		r.removed[s.Table.Stream] += int(n)
		marked := group
		if n == 0 && !s.Table.Versioned {
			if marked, err = w.worthMarking(ctx, s, group); err != nil {
				return err
			}
		}
		if err := w.mark(ctx, s.Table, marked); err != nil {
			return err
		}
	}
	return nil
}

// older appends the condition of the rows that removals are about: those of lower versions.
func (w *writer) older(t *rows.Table, removes []*rows.Change) {
	names := dialect.KeyNames(t)
	for i, x := range removes {
		if i > 0 {
			w.sql = append(w.sql, " OR "...)
		}
		w.sql = append(append(append(w.sql, "(("...), names...), ") = ("...)
		w.sql = append(dialect.AppendValues(w.sql, w.store.dialect, x.Key), ") AND "+rows.VersionColumn+" < "...)
		w.literal(rows.Bytes, x.Version[:])
		w.sql = append(w.sql, ')')
	}
}

// worthMarking picks, of removals that met no row, those whose key had one in this batch, or has a mark, and those
// during a redo.
func (w *writer) worthMarking(ctx context.Context, s *rows.Share, group []*rows.Change) ([]*rows.Change, error) {
	marks, err := w.marks(ctx, s, group)
	if err != nil {
		return nil, err
	}
	var out []*rows.Change
	for _, x := range group {
		if _, marked := markOf(marks, s.Table, x.Record.Key); marked || x.Marking || s.HadRow[string(x.Record.Key)] {
			out = append(out, x)
		}
	}
	return out, nil
}
