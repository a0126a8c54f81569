package sink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/sink/rows"
)

// rawKey is how a mark names a key of t's stream: the first 16 bytes of the SHA-256 of pipeline and key. Pipelines that
// share a database may have streams of the same name, and must not meet each other's marks.
func rawKey(t *rows.Table, key []byte) [16]byte {
	sum := sha256.Sum256(slices.Concat([]byte(t.Pipeline), []byte{0}, key))
	return [16]byte(sum[:16])
}

// sharedKey is how versions of millrace before named it, which kept the pipeline out of it.
func sharedKey(key []byte) [16]byte {
	sum := sha256.Sum256(key)
	return [16]byte(sum[:16])
}

// markOf is the mark of a key, if it has one: the higher, if it has one of each kind.
func markOf(marks map[[16]byte][]byte, t *rows.Table, key []byte) (version []byte, ok bool) {
	version, ok = marks[rawKey(t, key)]
	if shared, also := marks[sharedKey(key)]; also && (!ok || bytes.Compare(shared, version) > 0) {
		return shared, true
	}
	return version, ok
}

// marksAtOnce is how many marks a statement has.
const marksAtOnce = 1000

// mark keeps, for each key, the version at which it was left without rows.
func (w *writer) mark(ctx context.Context, t *rows.Table, removed []*rows.Change) error {
	for group := range slices.Chunk(removed, marksAtOnce) {
		w.sql = append(w.sql[:0], "INSERT INTO millrace_marks (stream, generation, raw_key, version, marked_at) VALUES "...)
		for i, x := range group {
			if i > 0 {
				w.sql = append(w.sql, ',')
			}
			w.sql = append(w.sql, '(')
			w.literal(rows.Text, []byte(t.Stream))
			w.sql = strconv.AppendUint(append(w.sql, ','), uint64(t.Generation), 10)
			w.sql = append(w.sql, ',')
			key := rawKey(t, x.Record.Key)
			w.literal(rows.Bytes, key[:])
			w.sql = append(w.sql, ',')
			w.literal(rows.Bytes, x.Version[:])
			w.sql = append(append(append(w.sql, ','), w.store.statements.Now...), ')')
		}
		w.sql = append(w.sql, w.store.statements.MergeMarks...)
		if err := w.exec(ctx, string(w.sql)); err != nil {
			return fmt.Errorf("insert into millrace_marks: %w", err)
		}
	}
	return nil
}

// markRefused leaves a mark that forbids nothing for each key with a letter. Should the key lose its rows
// before the letter is sent through again, the mark is raised, and the letter brings no row back.
func (w *writer) markRefused(ctx context.Context, b *batch) error {
	byTable := map[*rows.Table][]*rows.Change{}
	for x := range b.refused() {
		if !x.Table.Versioned {
			byTable[x.Table] = append(byTable[x.Table], &rows.Change{Record: x.Record})
		}
	}
	for t, refused := range byTable {
		if err := w.mark(ctx, t, refused); err != nil {
			return err
		}
	}
	return nil
}

// unmarked leaves out the upserts that a mark forbids. Only late ones can be, and, in streams with versions, any.
func (w *writer) unmarked(ctx context.Context, s *rows.Share) ([]*rows.Change, error) {
	var asked []*rows.Change
	for _, x := range s.Upserts {
		if x.Late || s.Table.Versioned {
			asked = append(asked, x)
		}
	}
	if len(asked) == 0 {
		return s.Upserts, nil
	}
	marks, err := w.marks(ctx, s, asked)
	if err != nil || len(marks) == 0 {
		return s.Upserts, err
	}
	return slices.DeleteFunc(slices.Clone(s.Upserts), func(x *rows.Change) bool {
		if !x.Late && !s.Table.Versioned {
			return false
		}
		mark, ok := markOf(marks, s.Table, x.Record.Key)
		return ok && bytes.Compare(x.Version[:], mark) <= 0
	}), nil
}

// marks reads the marks of keys of s: all that its stream has, if they are no more than what s may ask for, else those
// of the keys. So a stream without marks costs one small query in a transaction, whatever its size. Nothing is
// remembered from one transaction to the next but that there were many: who else writes marks, and when, does not
// matter.
func (w *writer) marks(ctx context.Context, s *rows.Share, keys []*rows.Change) (map[[16]byte][]byte, error) {
	all, err := w.allMarks(ctx, s)
	if err != nil || all != nil {
		return all, err
	}
	out := map[[16]byte][]byte{}
	for group := range slices.Chunk(keys, marksAtOnce) {
		w.ofMarks(s.Table)
		w.sql = append(w.sql, " AND raw_key IN ("...)
		for i, x := range group {
			if i > 0 {
				w.sql = append(w.sql, ',')
			}
			key, shared := rawKey(s.Table, x.Record.Key), sharedKey(x.Record.Key)
			w.literal(rows.Bytes, key[:])
			w.sql = append(w.sql, ',')
			w.literal(rows.Bytes, shared[:])
		}
		if err := w.scan(ctx, string(append(w.sql, ')')), out); err != nil {
			return nil, fmt.Errorf("read millrace_marks: %w", err)
		}
	}
	return out, nil
}

// manyMarks is what a writer remembers of a stream with more marks than a transaction asks for.
type manyMarks struct {
	least int
	until time.Time // they are pruned: then it looks again
}

// lookAgain is how long a writer believes that a stream has many marks.
const lookAgain = time.Minute

// allMarks reads all marks of s's stream, once for each transaction. It returns nil if they are more than s has keys.
func (w *writer) allMarks(ctx context.Context, s *rows.Share) (map[[16]byte][]byte, error) {
	if all, read := w.marked[s]; read {
		return all, nil
	}
	most := len(s.Removes) + len(s.Upserts)
	if many := w.plenty[s.Table]; most < many.least && time.Now().Before(many.until) {
		return nil, nil //nolint:nilnil // as the comment says
	}
	all := map[[16]byte][]byte{}
	w.ofMarks(s.Table)
	w.sql = strconv.AppendInt(append(w.sql, " LIMIT "...), int64(most)+1, 10)
	if err := w.scan(ctx, string(w.sql), all); err != nil {
		return nil, fmt.Errorf("read millrace_marks: %w", err)
	}
	if len(all) > most {
		w.plenty[s.Table] = manyMarks{len(all), time.Now().Add(lookAgain)}
		all = nil
	}
	w.marked[s] = all
	return all, nil
}

// ofMarks begins a query of the marks of t's stream.
func (w *writer) ofMarks(t *rows.Table) {
	w.sql = append(w.sql[:0], "SELECT raw_key, version FROM millrace_marks WHERE stream = "...)
	w.literal(rows.Text, []byte(t.Stream))
	w.sql = strconv.AppendUint(append(w.sql, " AND generation = "...), uint64(t.Generation), 10)
}

func (w *writer) scan(ctx context.Context, query string, into map[[16]byte][]byte) error {
	found, err := w.session.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var key, version []byte
		if err := found.Scan(&key, &version); err != nil {
			return err
		}
		into[[16]byte(key)] = version
	}
	return found.Err()
}
