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
	// bendAtOnce is how many rows a statement bends: each makes the server tell of it, and of each value that it bends, of
	// which there are seldom more than two. By default it tells 1,024 things of a statement.
	bendAtOnce = 340
	// bendFrom is from how many rows on it pays.
	bendFrom = 8
	// looks is how often the rows of a table are bent: each time without those that were found before.
	looks = 6
)

// bent finds those of t's upserts that the database refuses, by a few statements where it can: one that bends such
// values, leaves such rows out, and tells of which rows it did, taken back at once. What was done to rows for the same
// is of a class; the first and the last of each are tried alone, and only if they are refused with the words that were
// expected, all are. Whether a row is left out may depend on the rows before it, as a key does that refers to one of
// them. So that counts only where no row was bent, and the rows are looked at again without the bent ones. Whatever is
// not found, sift finds. It reports whether it has found any.
func (w *writer) bent(ctx context.Context, t *rows.Table, upserts []*rows.Change) (found bool, err error) {
	if w.store.upserts[t].Bent == nil || len(upserts) < bendFrom {
		return false, nil
	}
	if err := w.exec(ctx, "SAVEPOINT "+savepoint); err != nil {
		return false, err
	}
	for range looks {
		b, err := w.bend(ctx, t, upserts)
		if err != nil {
			return found, err
		}
		if err := w.rollbackBent(ctx); err != nil {
			return found, err
		}
		some, all, err := w.judge(ctx, t, b)
		if found = found || some; err != nil || !all || b.ended == nil && (b.exact() || len(b.out) == 0) {
			return found, err
		}
		upserts = good(upserts)
	}
	return found, nil
}

// good are the changes that are not refused.
func good(changes []*rows.Change) []*rows.Change {
	return slices.DeleteFunc(slices.Clone(changes), func(x *rows.Change) bool { return x.Reason != nil })
}

func (w *writer) rollbackBent(ctx context.Context) error {
	return w.exec(ctx, "ROLLBACK TO SAVEPOINT "+savepoint)
}

// bentRow is a change of which the database bends a value, or which it leaves out, and what it may say of it alone.
type bentRow struct {
	change   *rows.Change
	refusals []error
}

// bends is what bending has done to rows, by class.
type bends struct {
	values map[string][]bentRow // another value was stored
	out    map[string][]bentRow // the row was left out
	ended  *rows.Change         // at which a statement was refused: those after it were not bent
}

// exact reports whether a row that was left out is refused: nothing before it was bent.
func (b *bends) exact() bool { return len(b.values) == 0 && b.ended == nil }

// bend upserts changes with whatever the database makes of them. If it cannot tell of all, nothing is known.
func (w *writer) bend(ctx context.Context, t *rows.Table, changes []*rows.Change) (*bends, error) {
	u, b := w.store.upserts[t], &bends{values: map[string][]bentRow{}, out: map[string][]bentRow{}}
	for len(changes) > 0 && b.ended == nil {
		n := w.assemble(u.Bend, u.Merge, changes[:min(len(changes), bendAtOnce)], u.AppendBend)
		ended := w.exec(ctx, string(w.sql))
		if ended != nil && !isClassified(ended) {
			return nil, w.onTable(t, "upsert into", ended)
		}
		list, whole, err := u.Bent(ctx, w.session, n)
		if err != nil {
			return nil, w.store.dialect.Classify(err)
		}
		_, defect := errors.AsType[*dialect.DefectError](ended) // rows that are tried meet it in their place
		if defect || !whole || (ended != nil) != (len(list) > 0 && list[len(list)-1].Ended) {
			return &bends{}, nil
		}
		b.add(changes, list)
		changes = changes[n:]
	}
	return b, nil
}

// add sorts what was done to changes. Of a row the first is what it is refused for.
func (b *bends) add(changes []*rows.Change, list []dialect.Bent) {
	var last *rows.Change
	for _, done := range list {
		x := changes[done.Row]
		if done.Ended {
			b.ended = x
		}
		if x == last || done.Ended {
			continue
		}
		switch last = x; {
		case done.Out:
			b.out[done.Class] = append(b.out[done.Class], bentRow{x, done.Refusals})
		default:
			b.values[done.Class] = append(b.values[done.Class], bentRow{x, done.Refusals})
		}
	}
}

// judge refuses the rows of classes of which it is sure. It reports whether there are any, and whether it is sure of
// all that it looked at.
func (w *writer) judge(ctx context.Context, t *rows.Table, b *bends) (found, all bool, err error) {
	classes := b.values
	if b.exact() {
		classes = b.out
	}
	all = true
	upsert := func(changes []*rows.Change) error { return w.upsert(ctx, t, changes) }
	for _, class := range classes {
		sure, err := w.refuse(ctx, class, upsert)
		if err != nil {
			return found, false, err
		}
		found, all = found || sure, all && sure
	}
	if b.ended != nil {
		refused, err := w.alone(ctx, b.ended, upsert)
		if err != nil {
			return found, false, err
		}
		if all = all && refused != nil; refused != nil {
			b.ended.Reason, found = refused, true
		}
	}
	return found, all, nil
}

// refuse refuses the rows of a class, if it is sure that the database does.
func (w *writer) refuse(ctx context.Context, class []bentRow, write func([]*rows.Change) error) (sure bool, err error) {
	at, err := w.sure(ctx, class, write)
	if err != nil || at < 0 {
		return false, err
	}
	for _, x := range class {
		x.change.Reason = w.store.dialect.Classify(x.refusals[at])
	}
	return true, nil
}

// sure tries the first and the last row of a class alone. It returns at which place of each row's refusals the answer
// is, if it is the same place for both; -1: it is not known.
func (w *writer) sure(ctx context.Context, class []bentRow, write func([]*rows.Change) error) (at int, err error) {
	ends := []bentRow{class[0], class[len(class)-1]}
	if len(class) == 1 {
		ends = class
	}
	at = -1
	for i, x := range ends {
		refused, err := w.alone(ctx, x.change, write)
		if err != nil || refused == nil {
			return -1, err
		}
		found := slices.IndexFunc(x.refusals, func(e error) bool { return e.Error() == refused.Error() })
		if i > 0 && found != at {
			return -1, nil
		}
		at = found
	}
	return at, nil
}

// alone tries a change alone, and returns with what it is refused. One that goes in is taken back: it is to be tried in
// its place.
func (w *writer) alone(ctx context.Context, x *rows.Change, write func([]*rows.Change) error) (*dialect.RefusedError, error) {
	refused, err := refusal(write([]*rows.Change{x}))
	if err != nil || refused != nil {
		return refused, err
	}
	return nil, w.rollbackBent(ctx)
}

// refusal is err if it is about rows of a table. Any other is returned as the second.
func refusal(err error) (*dialect.RefusedError, error) {
	if refused, ok := errors.AsType[*dialect.RefusedError](err); ok && isTableFault(err) {
		return refused, nil
	}
	return nil, err
}

// isClassified reports whether err is about rows, or needs an operator, and not one that another attempt may not meet.
func isClassified(err error) bool {
	_, refused := errors.AsType[*dialect.RefusedError](err)
	_, defect := errors.AsType[*dialect.DefectError](err)
	return refused || defect
}
