package sink

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// writer is one session and what it writes. It is for one goroutine.
//
// Its transaction is, in this order: the offsets, whose rows are the lock that a fenced writer does not get
// (guard.go); the removals and their marks (remove.go, marks.go); the upserts (upsert.go); COMMIT. All writers touch
// tables in this order, and rows in key order, so that two of them rarely wait for each other and seldom deadlock.
type writer struct {
	store   *store
	session *dialect.Session // nil: to be opened
	used    time.Time        // when the session last answered
	sql     []byte           // buffer

	// all marks of the streams in the transaction in hand; nil: more than it asks for
	marked map[*rows.Share]map[[16]byte][]byte
	plenty map[*rows.Table]manyMarks

	kept  map[*rows.Table]kept // what it has committed to millrace_tables
	keeps map[*rows.Table]kept // in the transaction in hand
}

func newWriter(s *store) *writer {
	return &writer{
		store: s, marked: map[*rows.Share]map[[16]byte][]byte{}, plenty: map[*rows.Table]manyMarks{},
		kept: map[*rows.Table]kept{}, keeps: map[*rows.Table]kept{},
	}
}

// result is what a transaction did.
type result struct {
	upserts, removed, superseded map[string]int // by stream
}

func newResult() result {
	return result{map[string]int{}, map[string]int{}, map[string]int{}}
}

// connect opens the session if there is none, or none any more: the server ends idle ones.
func (w *writer) connect(ctx context.Context) error {
	if w.session != nil && time.Since(w.used) > dialect.SessionWait/3 && w.session.PingContext(ctx) != nil {
		w.disconnect()
	}
	w.used = time.Now()
	if w.session != nil {
		return nil
	}
	conn, err := w.store.writers.Conn(ctx)
	if err != nil {
		return w.store.dialect.Classify(err)
	}
	id, err := w.store.dialect.ConnectionID(ctx, conn)
	if err != nil {
		_ = conn.Close()
		return w.store.dialect.Classify(err)
	}
	w.session = &dialect.Session{Conn: conn, ID: id}
	return nil
}

// disconnect gives the session up: after an error it may hold a transaction, or an answer that nobody read.
func (w *writer) disconnect() {
	if w.session == nil {
		return
	}
	_ = w.session.Raw(func(any) error { return driver.ErrBadConn }) // so that it does not go back to the pool
	_ = w.session.Close()
	w.session = nil
}

// errUnknown says that COMMIT was sent and not answered.
var errUnknown = errors.New("the outcome of COMMIT is not known")

// notCommittedError says that COMMIT was sent and not answered, and did not happen.
type notCommittedError struct{ err error }

func (e *notCommittedError) Error() string {
	return "COMMIT did not happen: " + strings.TrimPrefix(e.err.Error(), errUnknown.Error()+": ")
}

// Unwrap returns what was known before.
func (e *notCommittedError) Unwrap() error { return e.err }

// apply writes b in one transaction. It returns a *FencedError if a partition is not ours or not where b begins, a
// *dialect.RefusedError if a row is refused, errUnknown if COMMIT was not answered; after any error nothing is left
// open.
func (w *writer) apply(ctx context.Context, b *batch) (result, error) {
	if err := w.connect(ctx); err != nil {
		return result{}, err
	}
	if err := w.publish(ctx, b.moves); err != nil {
		return result{}, w.rollback(ctx, err)
	}
	r, err := w.write(ctx, b)
	if err != nil {
		if err = w.rollback(ctx, err); errors.Is(err, errMissed) && w.session != nil {
			err = w.fenced(ctx, b.moves)
		}
		return r, err
	}
	w.used = time.Now()
	if _, err := w.session.ExecContext(ctx, "COMMIT"); err != nil {
		w.disconnect()
		return r, fmt.Errorf("%w: %w", errUnknown, err)
	}
	maps.Copy(w.kept, w.keeps)
	return r, nil
}

// write is the transaction without its COMMIT.
func (w *writer) write(ctx context.Context, b *batch) (result, error) {
	r := newResult()
	if err := w.exec(ctx, w.store.statements.Begin); err != nil {
		return r, err
	}
	shares := rows.Newest(b.changes()...)
	b.testify()
	if err := w.moveOffsets(ctx, b.moves); err != nil {
		return r, err
	}
	if err := w.markRefused(ctx, b); err != nil {
		return r, err
	}
	if err := w.writeRows(ctx, shares, &r); err != nil {
		return r, err
	}
	return r, w.keep(ctx, shares)
}

func (w *writer) writeRows(ctx context.Context, shares []*rows.Share, r *result) error {
	clear(w.marked)
	for _, s := range shares {
		r.superseded[s.Table.Stream] += s.Superseded
		if err := w.remove(ctx, s, r); err != nil {
			return err
		}
	}
	for _, s := range shares {
		upserts, err := w.unmarked(ctx, s)
		if err != nil {
			return err
		}
		r.superseded[s.Table.Stream] += len(s.Upserts) - len(upserts)
		r.upserts[s.Table.Stream] += len(upserts)
		if err := w.upsert(ctx, s.Table, upserts); err != nil {
			return err
		}
	}
	return nil
}

// rollback ends the transaction after err. A lock time-out, for one, has left it open.
func (w *writer) rollback(ctx context.Context, err error) error {
	_, failed := w.session.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	if _, defect := errors.AsType[*dialect.DefectError](err); failed != nil || defect {
		// a right that was given back counts for new sessions only, and a server that became read-only stays it
		w.disconnect()
	}
	return err
}

// many runs a statement about many rows of millrace_offsets.
func (w *writer) many(ctx context.Context, m dialect.Many, list []rows.Values) (sql.Result, error) {
	w.sql = m.Append(w.sql[:0], w.store.dialect, list)
	done, err := w.session.ExecContext(ctx, string(w.sql))
	return done, w.store.dialect.Classify(err)
}

// onTable says that err was the answer to a statement that only concerns t.
func (w *writer) onTable(t *rows.Table, doing string, err error) error {
	return &faultError{t, fmt.Errorf("%s %s: %w", doing, t.Name, w.store.dialect.Classify(err))}
}

func (w *writer) exec(ctx context.Context, statement string) error {
	_, err := w.session.ExecContext(ctx, statement)
	return w.store.dialect.Classify(err)
}

// literal appends a value to the statement under way.
func (w *writer) literal(form rows.Form, b []byte) {
	w.sql = w.store.dialect.AppendLiteral(w.sql, rows.Value{Form: form, Bytes: b})
}
