package sink

import (
	"context"
	"slices"
	"strconv"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// spared finds those of s's removals that the database refuses, as it does where rows of another table refer to theirs,
// by a few statements where it can: one that spares such rows, and one that reads which are left, taken back at once.
// As in bent, the first and the last that are spared for the same are tried alone. Whatever is not found, sift finds.
func (w *writer) spared(ctx context.Context, s *rows.Share, remove func([]*rows.Change) error) (found bool, err error) {
	if w.store.upserts[s.Table].Spared == nil || len(s.Removes) < bendFrom {
		return false, nil
	}
	if err := w.exec(ctx, "SAVEPOINT "+savepoint); err != nil {
		return false, err
	}
	classes := map[string][]bentRow{}
	for group := range slices.Chunk(s.Removes, removeAtOnce) {
		if err := w.spare(ctx, s.Table, group, classes); err != nil {
			return false, err
		}
	}
	if err := w.rollbackBent(ctx); err != nil {
		return false, err
	}
	for _, class := range classes {
		sure, err := w.refuse(ctx, class, remove)
		if found = found || sure; err != nil {
			return found, err
		}
	}
	return found, nil
}

// spare removes rows but those that the database keeps, and adds these to classes, if it is known what they are kept
// for.
func (w *writer) spare(ctx context.Context, t *rows.Table, removes []*rows.Change, classes map[string][]bentRow) error {
	u := w.store.upserts[t]
	w.sql = append(w.sql[:0], u.Spare...)
	w.older(t, removes)
	if err := w.exec(ctx, string(w.sql)); err != nil {
		if isClassified(err) {
			return nil // they are tried, and meet it in their place
		}
		return w.onTable(t, "delete from", err)
	}
	refusal, err := u.Spared(ctx, w.session)
	if err != nil || refusal == nil {
		return w.store.dialect.Classify(err)
	}
	left, err := w.left(ctx, t, removes)
	if err != nil {
		return w.onTable(t, "select from", err)
	}
	for i, x := range removes {
		if left[i] {
			classes[refusal.Error()] = append(classes[refusal.Error()], bentRow{x, []error{refusal}})
		}
	}
	return nil
}

// left reads of which removals the rows are there.
func (w *writer) left(ctx context.Context, t *rows.Table, removes []*rows.Change) (map[int]bool, error) {
	w.sql = append(w.sql[:0], "SELECT CASE"...)
	for i := range removes {
		w.sql = append(w.sql, " WHEN "...)
		w.older(t, removes[i:i+1])
		w.sql = strconv.AppendInt(append(w.sql, " THEN "...), int64(i), 10)
	}
	w.sql = append(append(append(w.sql, " END FROM "...), dialect.Quote(t.Name)...), " WHERE "...)
	w.older(t, removes)
	found, err := w.session.QueryContext(ctx, string(w.sql))
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	out := map[int]bool{}
	for found.Next() {
		var i int
		if err := found.Scan(&i); err != nil {
			return nil, err
		}
		out[i] = true
	}
	return out, found.Err()
}
