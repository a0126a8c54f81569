package sink

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-io/millrace/sink/rows"
)

// placesAtOnce is how many rows of millrace_offsets a statement names: a batch of so many partitions has one guard.
const placesAtOnce = 500

// place is the beginning of c's literals in a statement about many rows of millrace_offsets: its topic and partition.
func (c *claim) place() rows.Values {
	return number(rows.Values{}.Append(rows.Text, []byte(c.topic)), c.partition)
}

func number[T int32 | int64 | uint64](v rows.Values, n T) rows.Values {
	return v.Append(rows.Number, fmt.Append(nil, n))
}

// guard are the literals of the guard: whose row it must be and where, where it goes, and its witness.
func (m *move) guard() rows.Values {
	v := number(number(m.claim.place().Append(rows.Bytes, m.claim.token[:]), m.from), m.next).Append(rows.Bytes, m.high[:])
	if m.witness == nil {
		return v.Append(rows.Null, nil)
	}
	return v.Append(rows.Bytes, m.witness.bytes())
}

// publish tells whoever may take over which connection to end, should we freeze: before it holds any lock, for what
// its own transaction writes nobody can see.
func (w *writer) publish(ctx context.Context, moves []move) error {
	var list []rows.Values
	var stale []*claim
	for _, m := range moves {
		if m.claim.connection != w.session.ID {
			list = append(list, number(m.claim.place().Append(rows.Bytes, m.claim.token[:]), w.session.ID))
			stale = append(stale, m.claim)
		}
	}
	for group := range slices.Chunk(list, placesAtOnce) {
		if _, err := w.many(ctx, w.store.statements.PublishOffsets, group); err != nil {
			return err
		}
	}
	for _, c := range stale {
		c.connection = w.session.ID
	}
	return nil
}

// errMissed says that the guard moved fewer rows than it named.
var errMissed = errors.New("an offset did not move")

// moveOffsets is the guard: each row must be ours, and where this batch begins. Its rows are locked from here on, in
// the order of topic and partition. The error is errMissed if one of them is not.
func (w *writer) moveOffsets(ctx context.Context, moves []move) error {
	for group := range slices.Chunk(moves, placesAtOnce) {
		done, err := w.many(ctx, w.store.statements.MoveOffsets, guards(group))
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if err != nil {
			return err
		}
		if int(n) != len(group) {
			return errMissed
		}
	}
	return nil
}

func guards(moves []move) []rows.Values {
	out := make([]rows.Values, len(moves))
	for i := range moves {
		out[i] = moves[i].guard()
	}
	return out
}

// fenced asks, after errMissed and its rollback, which moves have another owner or another position. What is not ours
// any more, or not where a batch begins, never is again: so it does not matter that the answer is younger than the
// miss.
func (w *writer) fenced(ctx context.Context, moves []move) error {
	held := map[topicPartition]bool{}
	for group := range slices.Chunk(moves, placesAtOnce) {
		found, err := w.session.QueryContext(ctx, w.store.text(w.store.statements.HeldOffsets, guards(group)))
		if err != nil {
			return w.store.dialect.Classify(err)
		}
		some, err := scanPlaces(found)
		if err != nil {
			return w.store.dialect.Classify(err)
		}
		maps.Copy(held, some)
	}
	var gone []string
	var lost []rows.Values
	for _, m := range moves {
		if !held[topicPartition{m.claim.topic, m.claim.partition}] {
			gone, lost = append(gone, m.claim.String()), append(lost, m.claim.place())
		}
	}
	if len(gone) == 0 {
		return errMissed
	}
	clear(w.kept) // a command may have had it forgotten
	open, err := w.open(ctx, lost)
	if err != nil {
		return err
	}
	return &FencedError{gone, open}
}

// open are those of the places that nobody owns.
func (w *writer) open(ctx context.Context, list []rows.Values) (open []string, err error) {
	for group := range slices.Chunk(list, placesAtOnce) {
		found, err := w.session.QueryContext(ctx, w.store.text(w.store.statements.OpenOffsets, group))
		if err != nil {
			return nil, w.store.dialect.Classify(err)
		}
		some, err := scanPlaces(found)
		if err != nil {
			return nil, w.store.dialect.Classify(err)
		}
		for tp := range some {
			open = append(open, (&claim{topic: tp.topic, partition: tp.partition}).String())
		}
	}
	return open, nil
}

// committed asks, after errUnknown, whether b's transaction happened. The lock waits for a transaction that the
// server has not ended yet.
func (w *writer) committed(ctx context.Context, b *batch) (bool, error) {
	if len(b.moves) == 0 {
		return true, nil
	}
	if err := w.connect(ctx); err != nil {
		return false, err
	}
	if err := w.exec(ctx, w.store.statements.Begin); err != nil {
		w.disconnect()
		return false, err
	}
	at := slices.IndexFunc(b.moves, func(m move) bool { return m.next != m.from })
	m := b.moves[max(at, 0)] // they moved together or not at all
	var next int64
	var owner []byte
	err := w.session.QueryRowContext(ctx, w.store.statements.LockOffset, m.claim.topic, m.claim.partition).Scan(&next, &owner)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil // its row was deleted: the next attempt is fenced
	}
	if _, ended := w.session.ExecContext(ctx, "ROLLBACK"); err != nil || ended != nil {
		w.disconnect()
		return false, w.store.dialect.Classify(errors.Join(err, ended))
	}
	if at < 0 { // a fill's, which moves nothing: it is written again, which changes nothing where it was written
		return false, nil
	}
	// Another owner that has gone on is past m.next only if it began at m.next or before; either way the next
	// attempt, which is fenced, writes nothing. Our own token at m.next says that we did it.
	return next == m.next && bytes.Equal(owner, m.claim.token[:]), nil
}
