package sink

import (
	"context"
	"errors"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// isolate finds, by halving, the changes of b that the database refuses, and gives them its reason. Each half is
// tried in a transaction of its own that is rolled back. What remains then goes in, the older revisions of the
// refused ones included. It reports false if the database refuses none of them by itself.
func (w *writer) isolate(ctx context.Context, b *batch) (found bool, err error) {
	var tried []*rows.Change
	for _, s := range rows.Newest(b.changes()...) {
		tried = append(append(tried, s.Removes...), s.Upserts...)
	}
	return w.halve(ctx, tried)
}

func (w *writer) halve(ctx context.Context, tried []*rows.Change) (found bool, err error) {
	if len(tried) == 0 {
		return false, nil
	}
	copies := make([]rows.Change, len(tried))
	for i, x := range tried {
		copies[i] = *x
	}
	refused, err := w.try(ctx, copies)
	if refused == nil || err != nil {
		return false, err
	}
	if len(tried) == 1 {
		tried[0].Reason = refused
		return true, nil
	}
	first, err := w.halve(ctx, tried[:len(tried)/2])
	if err != nil {
		return false, err
	}
	second, err := w.halve(ctx, tried[len(tried)/2:])
	return first || second, err
}

// try reports the error with which the database refuses changes, in a transaction that is rolled back.
func (w *writer) try(ctx context.Context, changes []rows.Change) (*dialect.RefusedError, error) {
	if err := w.connect(ctx); err != nil {
		return nil, err
	}
	r := newResult()
	err := w.exec(ctx, w.store.statements.Begin)
	if err == nil {
		err = w.writeRows(ctx, rows.Newest(changes), &r)
	}
	if err == nil {
		_, err = w.session.ExecContext(ctx, "ROLLBACK")
		return nil, err
	}
	err = w.rollback(ctx, err)
	if refused, ok := errors.AsType[*dialect.RefusedError](err); ok {
		return refused, nil
	}
	return nil, err
}
