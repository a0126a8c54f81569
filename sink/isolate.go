package sink

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// isolateTimeout bounds one search: with the attempt before it, it is over before the group stops waiting for us.
const isolateTimeout = 20 * time.Second

// isolate finds the changes of b that the database refuses, and gives them its reason. What is refused
// for its values alone, the database tells at once (bent). The others are tried in one transaction that is rolled back, in the order of the batch: a few of
// them at a time after a refusal, twice as many after each success, so that few refused ones cost little, and where all are
// refused each is tried once. A statement that is refused leaves nothing behind. What remains then goes in, the older
// revisions of the refused ones included. It reports false if the database refuses none of them by itself.
//
// Nothing guards what is tried, and a swap may have given the name to another table meanwhile, which refuses other rows. So the claims are
// looked at afterwards: a swap takes them back before it renames anything. If they are gone, nothing was found, and the error is a
// *[FencedError].
func (w *writer) isolate(ctx context.Context, b *batch) (found bool, err error) {
	shares := rows.Newest(b.changes()...)
	if found, err = w.tryAll(ctx, shares); !found {
		return false, err
	}
	if err = w.stillHeld(ctx, b.moves); err == nil {
		return true, nil // what went wrong after that, the next attempt meets again
	}
	for _, x := range inOrder(shares) {
		x.Reason = nil
	}
	return false, err
}

// inOrder are the changes that are written, in the order in which they are.
func inOrder(shares []*rows.Share) (all []*rows.Change) {
	for _, s := range shares {
		all = append(append(all, s.Removes...), s.Upserts...)
	}
	return all
}

// stillHeld returns nil if the moves can be made: then they could at any moment since their claims were made.
func (w *writer) stillHeld(ctx context.Context, moves []move) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if err := w.connect(ctx); err != nil {
		return err
	}
	if err := w.fenced(ctx, moves); !errors.Is(err, errMissed) {
		return err
	}
	return nil
}

// tryAll tries all changes of shares in one transaction, and takes it back. An error does not mean that it has found nothing.
func (w *writer) tryAll(ctx context.Context, shares []*rows.Share) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, isolateTimeout)
	defer cancel()
	if err := w.connect(ctx); err != nil {
		return false, err
	}
	if err := w.exec(ctx, w.store.statements.Begin); err != nil {
		return false, w.rollback(ctx, err)
	}
	if found, err = w.find(ctx, shares); err != nil {
		err = w.rollback(ctx, err)
	} else if _, err = w.session.ExecContext(ctx, "ROLLBACK"); err != nil {
		w.disconnect()
	}
	return found, err
}

// find finds those that can be told by their values alone first, and then the others.
func (w *writer) find(ctx context.Context, shares []*rows.Share) (found bool, err error) {
	for _, s := range shares {
		some, err := w.bent(ctx, s)
		if found = found || some; err != nil {
			return found, err
		}
	}
	rest := slices.DeleteFunc(inOrder(shares), func(x *rows.Change) bool { return x.Reason != nil })
	some, err := w.sift(ctx, rest)
	return found || some, err
}

// shrink is by how much fewer changes are tried together after a refusal.
const shrink = 8

func (w *writer) sift(ctx context.Context, tried []*rows.Change) (found bool, err error) {
	var again *rows.Change
	for n := len(tried) / shrink; len(tried) > 0; {
		n = min(max(1, n), len(tried))
		refused, err := w.try(ctx, tried[:n])
		switch {
		case err != nil:
			return found, err
		case refused == nil:
			tried, n = tried[n:], 2*n
		case n > 1:
			n /= shrink
		case refused.Doubtful && again != tried[0]:
			again = tried[0] // what nobody listed is about this change only if the database says it of it twice
		default:
			tried[0].Reason, found = refused, true
			tried = tried[1:]
		}
	}
	return found, nil
}

// try reports the error with which the database refuses changes.
func (w *writer) try(ctx context.Context, changes []*rows.Change) (*dialect.RefusedError, error) {
	copies := make([]rows.Change, len(changes))
	for i, x := range changes {
		copies[i] = *x
	}
	r := newResult()
	err := w.writeRows(ctx, rows.Newest(copies), &r)
	if refused, ok := errors.AsType[*dialect.RefusedError](err); ok && isTableFault(err) {
		return refused, nil
	}
	return nil, err
}
