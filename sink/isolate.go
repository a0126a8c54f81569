package sink

import (
	"context"
	"errors"
	"time"

	"github.com/millrace-io/millrace/sink/rows"
)

// isolateTimeout bounds one search: with the attempt before it, it is over before the group stops waiting for us.
const isolateTimeout = 20 * time.Second

// isolate finds the changes of b that the database refuses, and gives them its reason, in one transaction that is
// rolled back. Of what is refused for values, checks, foreign keys and indexes, the database tells at once (bent,
// spared). The others are tried in the order of the batch, several together (pace), so that few refused ones cost
// little, and where all are refused each is tried once. A statement that is refused leaves nothing behind. What remains
// then goes in, the older revisions of the refused ones included. It reports false if the database refuses none of them
// by itself.
//
// Nothing guards what is tried, and a swap may have given the name to another table meanwhile, which refuses other
// rows. So the claims are looked at afterwards: a swap takes them back before it renames anything. If they are gone,
// nothing was found, and the error is a *[FencedError].
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

// tryAll tries all changes of shares in one transaction, and takes it back. An error does not mean that it has found
// nothing.
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

// find finds them in the order in which a batch is written: removals, and then, table by table, upserts. What is good
// goes in before the next is tried.
func (w *writer) find(ctx context.Context, shares []*rows.Share) (found bool, err error) {
	clear(w.marked)
	for _, s := range shares {
		some, err := w.findRemoves(ctx, s)
		if found = found || some; err != nil {
			return found, err
		}
	}
	for _, s := range shares {
		some, err := w.findUpserts(ctx, s)
		if found = found || some; err != nil {
			return found, err
		}
	}
	return found, nil
}

// findRemoves is findUpserts of removals.
func (w *writer) findRemoves(ctx context.Context, s *rows.Share) (found bool, err error) {
	remove := func(removes []*rows.Change) error {
		r := newResult()
		return w.remove(ctx, &rows.Share{Table: s.Table, Removes: removes, HadRow: s.HadRow}, &r)
	}
	if found, err = w.spared(ctx, s, remove); err != nil {
		return found, err
	}
	some, err := sift(good(s.Removes), remove)
	return found || some, err
}

// findUpserts finds those of s that the database tells of, and then the others.
func (w *writer) findUpserts(ctx context.Context, s *rows.Share) (found bool, err error) {
	upserts, err := w.unmarked(ctx, s)
	if err != nil {
		return false, err
	}
	if found, err = w.bent(ctx, s.Table, upserts); err != nil {
		return found, err
	}
	some, err := sift(good(upserts), func(upserts []*rows.Change) error { return w.upsert(ctx, s.Table, upserts) })
	return found || some, err
}

// sift tries changes by writing them, in their order, and gives those that are refused their reason.
func sift(tried []*rows.Change, write func([]*rows.Change) error) (found bool, err error) {
	p, again := pace{size: len(tried)}, (*rows.Change)(nil)
	for len(tried) > 0 {
		n := p.next(len(tried))
		refused, err := refusal(write(tried[:n]))
		switch {
		case err != nil:
			return found, err
		case refused == nil:
			p.wentIn(n)
			tried = tried[n:]
		case n == 1 && refused.Doubtful && again != tried[0]:
			again = tried[0] // what nobody listed is about this change only if the database says it of it twice
		default:
			if p.refused(n); n == 1 {
				tried[0].Reason, found = refused, true
				tried = tried[1:]
			}
		}
	}
	return found, nil
}

// pace is how many changes are tried together: two thirds of those that are good between two refused ones, as far as is
// known, so that about every other try is refused. Of those that were refused together halves are tried, until one is
// alone.
type pace struct {
	size    int // to be tried together
	suspect int // so many of the next ones were refused together
	good    int // went in since one was refused
}

func (p *pace) next(left int) int {
	if p.suspect > 0 {
		return max(1, p.suspect/2)
	}
	return min(max(1, p.size), left)
}

func (p *pace) wentIn(n int) {
	p.good += n
	p.suspect = max(0, p.suspect-n)
	p.size = max(p.size, p.good/2)
}

func (p *pace) refused(n int) {
	if n > 1 {
		p.suspect = n
		return
	}
	p.size, p.suspect, p.good = (p.size+2*p.good)/4, 0, 0
}
