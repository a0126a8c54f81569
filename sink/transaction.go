package sink

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/internal/mutant"
	"github.com/millrace-io/millrace/topics"
)

// writer is one connection and what it writes. It is for one goroutine.
//
// Its transaction is, in this order: the offsets, whose rows are the lock that a fenced writer does not get; the removals and
// their marks; the upserts; COMMIT. All writers touch tables in this order, and rows in key order, so that two of them rarely
// wait for each other and seldom deadlock.
type writer struct {
	store *store
	conn  *sql.Conn // nil: to be opened
	id    uint64    // of conn, at the server
	used  time.Time // when conn last answered
	sql   []byte    // buffer

	temporary map[*bulk]bool // the temporary tables that conn has
}

// result is what a transaction did.
type result struct {
	upserts, removed, stale map[string]int // by stream
}

func newResult() result {
	return result{map[string]int{}, map[string]int{}, map[string]int{}}
}

// connect opens the connection if there is none, or none any more: the server ends idle ones.
func (w *writer) connect(ctx context.Context) error {
	if w.conn != nil && time.Since(w.used) > sessionWait/3 && w.conn.PingContext(ctx) != nil {
		w.disconnect()
	}
	w.used = time.Now()
	if w.conn != nil {
		return nil
	}
	conn, err := w.store.writers.Conn(ctx)
	if err != nil {
		return classify(err)
	}
	if w.id, err = w.store.dialect.connectionID(ctx, conn); err != nil {
		_ = conn.Close()
		return err
	}
	w.conn, w.temporary = conn, map[*bulk]bool{}
	return nil
}

// disconnect gives the connection up: after an error it may hold a transaction, or an answer that nobody read.
func (w *writer) disconnect() {
	if w.conn == nil {
		return
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // so that it does not go back to the pool
	_ = w.conn.Close()
	w.conn = nil
}

// errUnknown says that COMMIT was sent and not answered.
var errUnknown = errors.New("the outcome of COMMIT is not known")

// apply writes b in one transaction. It returns a *FencedError if a partition is not ours or not where b begins, a
// *rejectedError if a row is refused, errUnknown if COMMIT was not answered; after any error nothing is left open.
func (w *writer) apply(ctx context.Context, b *batch) (result, error) {
	if err := w.connect(ctx); err != nil {
		return result{}, err
	}
	if err := w.publish(ctx, b.moves); err != nil {
		return result{}, w.rollback(ctx, err)
	}
	r, err := w.write(ctx, b)
	if err != nil {
		return r, w.rollback(ctx, err)
	}
	w.used = time.Now()
	if _, err := w.conn.ExecContext(ctx, "COMMIT"); err != nil {
		w.disconnect()
		return r, fmt.Errorf("%w: %w", errUnknown, err)
	}
	return r, nil
}

// rollback ends the transaction after err. A lock time-out, for one, has left it open.
func (w *writer) rollback(ctx context.Context, err error) error {
	if _, failed := w.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); failed != nil {
		w.disconnect()
	}
	return err
}

// publish tells whoever may take over which connection to end, should we freeze: before it holds any lock, for what its own
// transaction writes nobody can see.
func (w *writer) publish(ctx context.Context, moves []move) error {
	for _, m := range moves {
		if m.claim.connection == w.id {
			continue
		}
		if err := w.exec(ctx, "UPDATE millrace_offsets SET connection_id = ? WHERE topic = ? AND part = ? AND owner = ?",
			w.id, m.claim.topic, m.claim.part, m.claim.token[:]); err != nil {
			return err
		}
		m.claim.connection = w.id
	}
	return nil
}

func (w *writer) write(ctx context.Context, b *batch) (result, error) {
	r := newResult()
	if err := w.exec(ctx, w.store.dialect.begin()); err != nil {
		return r, err
	}
	if err := w.moveOffsets(ctx, b.moves); err != nil {
		return r, err
	}
	if err := w.markRefused(ctx, b.changes); err != nil {
		return r, err
	}
	return r, w.writeRows(ctx, parts(b.changes), &r)
}

// markRefused leaves a mark that forbids nothing for each key with a letter. Should the key lose its rows
// before the letter is sent through again, the mark is raised, and the letter brings no row back.
func (w *writer) markRefused(ctx context.Context, changes []change) error {
	byTable := map[*table][]*change{}
	for i := range changes {
		if x := &changes[i]; x.reason != nil && !x.table.versioned {
			byTable[x.table] = append(byTable[x.table], &change{record: x.record})
		}
	}
	for t, refused := range byTable {
		if err := w.mark(ctx, t, refused); err != nil {
			return err
		}
	}
	return nil
}

// refused reports the error with which the database refuses changes, in a transaction that is rolled back.
func (w *writer) refused(ctx context.Context, changes []change) (*rejectedError, error) {
	if err := w.connect(ctx); err != nil {
		return nil, err
	}
	r := newResult()
	err := w.exec(ctx, w.store.dialect.begin())
	if err == nil {
		err = w.writeRows(ctx, parts(changes), &r)
	}
	if err == nil {
		_, err = w.conn.ExecContext(ctx, "ROLLBACK")
		return nil, err
	}
	err = w.rollback(ctx, err)
	if rejected, ok := errors.AsType[*rejectedError](err); ok {
		return rejected, nil
	}
	return nil, err
}

func (w *writer) exec(ctx context.Context, statement string, args ...any) error {
	_, err := w.conn.ExecContext(ctx, statement, args...)
	return classify(err)
}

// moveOffsets is the guard: each row must be ours, and where this batch begins.
func (w *writer) moveOffsets(ctx context.Context, moves []move) error {
	var fenced []string
	for _, m := range moves {
		c := m.claim
		query := "UPDATE millrace_offsets SET next_offset = ?, high = ?, updated_at = " + w.store.dialect.now() + " WHERE topic = ? AND part = ?"
		args := []any{m.next, m.high[:], c.topic, c.part}
		if !mutant.Off(mutant.Fencing) {
			query += " AND owner = ?"
			args = append(args, c.token[:])
			if !mutant.Off(mutant.ExpectedOffset) {
				query += " AND next_offset = ?"
				args = append(args, m.from)
			}
		}
		done, err := w.conn.ExecContext(ctx, query, args...)
		if err != nil {
			return classify(err)
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

func (w *writer) writeRows(ctx context.Context, all []*part, r *result) error {
	for _, p := range all {
		r.stale[p.table.stream] += p.stale
		if err := w.remove(ctx, p, r); err != nil {
			return err
		}
	}
	for _, p := range all {
		upserts, err := w.unmarked(ctx, p)
		if err != nil {
			return err
		}
		r.stale[p.table.stream] += len(p.upserts) - len(upserts)
		r.upserts[p.table.stream] += len(upserts)
		if err := w.upsert(ctx, p.table, upserts); err != nil {
			return err
		}
	}
	return nil
}

// upsert sends rows, in key order, in as few statements as their sizes allow.
func (w *writer) upsert(ctx context.Context, t *table, rows []*change) error {
	if len(rows) == 0 {
		return nil
	}
	insert, merge, fast := w.store.dialect.insert(t), w.store.dialect.merge(t), t.bulk
	for len(rows) > 0 {
		if n := fast.take(len(rows), w.store.cfg.LoadRows); n > 0 {
			done, err := w.bulk(ctx, t, fast, rows[:n])
			if err != nil {
				return err
			}
			if done {
				rows = rows[n:]
				continue
			}
			fast = nil // one of these rows did not fit: the plain way finds it
		}
		w.sql = append(w.sql[:0], insert...)
		n := 0
		for n < len(rows) && n < w.store.cfg.StatementRows && (n == 0 || len(w.sql)+len(rows[n].row)+len(merge) < w.store.bytes) {
			if n > 0 {
				w.sql = append(w.sql, ',')
			}
			w.sql = append(w.sql, rows[n].row...)
			n++
		}
		w.sql = append(w.sql, merge...)
		if err := w.exec(ctx, string(w.sql)); err != nil {
			return fmt.Errorf("upsert into %s: %w", t.name, err)
		}
		rows = rows[n:]
	}
	return nil
}

// removeAtOnce is how many keys a DELETE names.
const removeAtOnce = 200

// remove deletes rows of lower versions, and marks the keys that had one.
//
// A mark is what keeps an older record from bringing a row back. In a stream without versions of the source, an older record is one
// at a raw position that was applied before. Then the row that it would bring back
//   - was in the table when the key was removed: the DELETE met it, and the key is marked;
//   - or was in this very batch, and never reached the table: part.had knows;
//   - or was refused by the database, and waits in a letter: a mark of version zero was left for it (markRefused), which the removal finds;
//   - or was kept out by a mark, which the removal finds and raises.
//
// In a stream with versions, an older record may come for the first time after the removal, so every removal is marked. A
// key whose DELETE shares a statement with a key that had a row is marked too: the mark is true all the same.
//
// A letter of the processor's has never been here. If its key was removed since, and never had a row, nothing here tells that the
// letter is old: whoever sends it again has to see that there is no newer raw record.
func (w *writer) remove(ctx context.Context, p *part, r *result) error {
	for group := range slices.Chunk(p.removes, removeAtOnce) {
		w.sql = fmt.Appendf(w.sql[:0], "DELETE FROM %s WHERE ", backquoted(p.table.name))
		for i, x := range group {
			if i > 0 {
				w.sql = append(w.sql, " OR "...)
			}
			w.sql = append(w.sql, '(')
			w.sql = appendEqual(w.sql, p.table, x.pk)
			if !mutant.Off(mutant.RowVersions) {
				w.sql = append(w.sql, " AND "+versionColumn+" < "...)
				w.sql = w.store.dialect.bytes(w.sql, x.version[:])
			}
			w.sql = append(w.sql, ')')
		}
		done, err := w.conn.ExecContext(ctx, string(w.sql))
		if err != nil {
			return fmt.Errorf("delete from %s: %w", p.table.name, classify(err))
		}
		n, err := done.RowsAffected()
		if err != nil {
			return err
		}
		r.removed[p.table.stream] += int(n)
		marked := group
		if n == 0 && !p.table.versioned {
			if marked, err = w.worthMarking(ctx, p, group); err != nil {
				return err
			}
		}
		if err := w.mark(ctx, p.table, marked); err != nil {
			return err
		}
	}
	return nil
}

// worthMarking picks, of removals that met no row, those whose key had one in this batch, or has a mark.
func (w *writer) worthMarking(ctx context.Context, p *part, group []*change) ([]*change, error) {
	marks, err := w.marks(ctx, p.table, group)
	if err != nil {
		return nil, err
	}
	var out []*change
	for _, x := range group {
		if _, marked := marks[rawKey(x.record.Key)]; marked || p.had[string(x.record.Key)] {
			out = append(out, x)
		}
	}
	return out, nil
}

// appendEqual appends the comparison of the key columns with literals.
func appendEqual(dst []byte, t *table, pk []byte) []byte {
	dst = append(append(append(dst, '('), keyNames(t)...), ") = ("...)
	return append(append(dst, pk...), ')')
}

// mark keeps, for each key, the version at which it was left without rows.
func (w *writer) mark(ctx context.Context, t *table, removed []*change) error {
	if len(removed) == 0 || mutant.Off(mutant.Marks) {
		return nil
	}
	d := w.store.dialect
	for group := range slices.Chunk(removed, 1000) {
		w.sql = append(w.sql[:0], "INSERT INTO millrace_marks (stream, generation, raw_key, version, marked_at) VALUES "...)
		for i, x := range group {
			if i > 0 {
				w.sql = append(w.sql, ',')
			}
			key := rawKey(x.record.Key)
			w.sql = append(d.text(append(w.sql, '('), []byte(t.stream)), ',')
			w.sql = append(appendUint(w.sql, topics.FirstGeneration), ',')
			w.sql = append(d.bytes(w.sql, key[:]), ',')
			w.sql = append(d.bytes(w.sql, x.version[:]), ',')
			w.sql = append(append(w.sql, d.now()...), ')')
		}
		w.sql = append(w.sql, d.mergeMarks()...)
		if err := w.exec(ctx, string(w.sql)); err != nil {
			return fmt.Errorf("insert into millrace_marks: %w", err)
		}
	}
	return nil
}

// unmarked leaves out the upserts that a mark forbids. Only late ones can be, and, in streams with versions, any.
func (w *writer) unmarked(ctx context.Context, p *part) ([]*change, error) {
	if mutant.Off(mutant.Marks) {
		return p.upserts, nil
	}
	var asked []*change
	for _, x := range p.upserts {
		if x.late || p.table.versioned {
			asked = append(asked, x)
		}
	}
	if len(asked) == 0 {
		return p.upserts, nil
	}
	marks, err := w.marks(ctx, p.table, asked)
	if err != nil || len(marks) == 0 {
		return p.upserts, err
	}
	return slices.DeleteFunc(slices.Clone(p.upserts), func(x *change) bool {
		if !x.late && !p.table.versioned {
			return false
		}
		mark, ok := marks[rawKey(x.record.Key)]
		return ok && bytes.Compare(x.version[:], mark) <= 0
	}), nil
}

// marks reads the marks of keys.
func (w *writer) marks(ctx context.Context, t *table, keys []*change) (map[[16]byte][]byte, error) {
	out := map[[16]byte][]byte{}
	d := w.store.dialect
	for group := range slices.Chunk(keys, 1000) {
		w.sql = append(w.sql[:0], "SELECT raw_key, version FROM millrace_marks WHERE stream = "...)
		w.sql = append(d.text(w.sql, []byte(t.stream)), " AND generation = "...)
		w.sql = append(appendUint(w.sql, topics.FirstGeneration), " AND raw_key IN ("...)
		for i, x := range group {
			if i > 0 {
				w.sql = append(w.sql, ',')
			}
			key := rawKey(x.record.Key)
			w.sql = d.bytes(w.sql, key[:])
		}
		if err := w.scan(ctx, string(append(w.sql, ')')), out); err != nil {
			return nil, fmt.Errorf("read millrace_marks: %w", err)
		}
	}
	return out, nil
}

func (w *writer) scan(ctx context.Context, query string, into map[[16]byte][]byte) error {
	rows, err := w.conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var key, version []byte
		if err := rows.Scan(&key, &version); err != nil {
			return err
		}
		into[[16]byte(key)] = version
	}
	return rows.Err()
}

// committed asks, after errUnknown, whether b's transaction happened. The lock waits for a transaction that the server has
// not ended yet.
func (w *writer) committed(ctx context.Context, b *batch) (bool, error) {
	if len(b.moves) == 0 {
		return true, nil
	}
	if err := w.connect(ctx); err != nil {
		return false, err
	}
	if err := w.exec(ctx, w.store.dialect.begin()); err != nil {
		return false, err
	}
	m := b.moves[0] // they moved together or not at all
	query := "SELECT next_offset, owner FROM millrace_offsets WHERE topic = ? AND part = ?"
	if w.store.dialect.name() == "MySQL" {
		query += " FOR UPDATE"
	}
	var next int64
	var owner []byte
	err := w.conn.QueryRowContext(ctx, query, m.claim.topic, m.claim.part).Scan(&next, &owner)
	if _, ended := w.conn.ExecContext(ctx, "ROLLBACK"); err != nil || ended != nil {
		w.disconnect()
		return false, errors.Join(err, ended)
	}
	// Another owner that has gone on is past m.next only if it began at m.next or before; either way the next attempt, which is
	// fenced, writes nothing. Our own token at m.next says that we did it.
	return next == m.next && bytes.Equal(owner, m.claim.token[:]), nil
}
