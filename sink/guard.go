package sink

import (
	"bytes"
	"context"
	"errors"
)

// publish tells whoever may take over which connection to end, should we freeze: before it holds any lock, for what
// its own transaction writes nobody can see.
func (w *writer) publish(ctx context.Context, moves []move) error {
	for _, m := range moves {
		if m.claim.connection == w.session.ID {
			continue
		}
		if err := w.exec(ctx, "UPDATE millrace_offsets SET connection_id = ? WHERE topic = ? AND part = ? AND owner = ?",
			w.session.ID, m.claim.topic, m.claim.partition, m.claim.token[:]); err != nil {
			return err
		}
		m.claim.connection = w.session.ID
	}
	return nil
}

// moveOffsets is the guard: each row must be ours, and where this batch begins. Its rows are locked from here on.
func (w *writer) moveOffsets(ctx context.Context, moves []move) error {
	var fenced []string
	for _, m := range moves {
		c := m.claim
		done, err := w.session.ExecContext(ctx, w.store.statements.MoveOffset, m.next, m.high[:], c.topic, c.partition, c.token[:], m.from)
		if err != nil {
			return w.store.dialect.Classify(err)
		}
		if n, err := done.RowsAffected(); err != nil || n != 1 {
			fenced = append(fenced, c.String())
		}
	}
	if len(fenced) > 0 {
		return &FencedError{fenced}
	}
	return nil
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
		return false, err
	}
	m := b.moves[0] // they moved together or not at all
	var next int64
	var owner []byte
	err := w.session.QueryRowContext(ctx, w.store.statements.LockOffset, m.claim.topic, m.claim.partition).Scan(&next, &owner)
	if _, ended := w.session.ExecContext(ctx, "ROLLBACK"); err != nil || ended != nil {
		w.disconnect()
		return false, errors.Join(err, ended)
	}
	// Another owner that has gone on is past m.next only if it began at m.next or before; either way the next
	// attempt, which is fenced, writes nothing. Our own token at m.next says that we did it.
	return next == m.next && bytes.Equal(owner, m.claim.token[:]), nil
}
