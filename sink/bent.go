package sink

import (
	"context"
	"errors"
	"slices"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

const (
	savepoint = "millrace_bent"
	// bendAtOnce is how many rows a statement bends: the server tells of 1,024 values by default.
	bendAtOnce = 500
)

// bent finds those of s's upserts that the database refuses for a value, by a few statements where it can: one that bends
// such values and tells of which rows it did, taken back at once. Rows bent in the same way are of a class; the first and the
// last of each are tried alone, and only if they are refused with the words that were expected, all are. What is refused
// for anything else, sift finds. It reports whether it has found any.
func (w *writer) bent(ctx context.Context, s *rows.Share) (found bool, err error) {
	u := w.store.upserts[s.Table]
	if u.Bent == nil || len(s.Upserts) < shrink {
		return false, nil
	}
	clear(w.marked)
	upserts, err := w.unmarked(ctx, s)
	if err != nil {
		return false, err
	}
	if err := w.exec(ctx, "SAVEPOINT "+savepoint); err != nil {
		return false, err
	}
	classes, err := w.bend(ctx, u, upserts)
	if err != nil && !isClassified(err) {
		return false, w.onTable(s.Table, "upsert into", err)
	}
	if err := w.exec(ctx, "ROLLBACK TO SAVEPOINT "+savepoint); err != nil {
		return false, err
	}
	for _, class := range classes {
		at, err := w.sure(ctx, class)
		if err != nil {
			return found, err
		}
		for _, x := range class {
			if at >= 0 {
				x.change.Reason, found = w.store.dialect.Classify(x.refusals[at]), true
			}
		}
	}
	return found, nil
}

// bentRow is a change of which the database bends a value, and what it may say of it alone.
type bentRow struct {
	change   *rows.Change
	refusals []error
}

// bend upserts changes with whatever the database makes of them, and returns those that it bent, by class. The error may be about
// one that cannot be bent; then nothing is known.
func (w *writer) bend(ctx context.Context, u dialect.Upsert, changes []*rows.Change) (map[string][]bentRow, error) {
	classes, last := map[string][]bentRow{}, (*rows.Change)(nil)
	for u.Insert = u.Bend; len(changes) > 0; {
		n := w.statement(u, changes[:min(len(changes), bendAtOnce)])
		if err := w.exec(ctx, string(w.sql)); err != nil {
			return nil, err
		}
		bent, err := u.Bent(ctx, w.session)
		if err != nil {
			return nil, w.store.dialect.Classify(err)
		}
		for _, b := range bent {
			if b.Row >= n || changes[b.Row] == last {
				continue // the first value of a row is the one that is refused
			}
			last = changes[b.Row]
			classes[b.Class] = append(classes[b.Class], bentRow{last, b.Refusals})
		}
		changes = changes[n:]
	}
	return classes, nil
}

// sure tries the first and the last row of a class alone. It returns at which place of each row's refusals the answer is, if it is the
// same place for both; -1: it is not known.
func (w *writer) sure(ctx context.Context, class []bentRow) (at int, err error) {
	at = -1
	for i, x := range []bentRow{class[0], class[len(class)-1]} {
		refused, err := w.try(ctx, []*rows.Change{x.change})
		if err != nil {
			return -1, err
		}
		if refused == nil { // it went in: it is to be tried in its place
			return -1, w.exec(ctx, "ROLLBACK TO SAVEPOINT "+savepoint)
		}
		found := slices.IndexFunc(x.refusals, func(e error) bool { return e.Error() == refused.Error() })
		if i > 0 && found != at {
			return -1, nil
		}
		at = found
	}
	return at, nil
}

// isClassified reports whether err is about rows, or needs an operator, and not one that another attempt may not meet.
func isClassified(err error) bool {
	_, refused := errors.AsType[*dialect.RefusedError](err)
	_, defect := errors.AsType[*dialect.DefectError](err)
	return refused || defect
}
