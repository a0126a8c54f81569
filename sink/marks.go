package sink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"

	"github.com/millrace-io/millrace/sink/rows"
)

// rawKey is how a mark names a key: the first 16 bytes of its SHA-256.
func rawKey(key []byte) [16]byte {
	sum := sha256.Sum256(key)
	return [16]byte(sum[:16])
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
			key := rawKey(x.Record.Key)
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
	marks, err := w.marks(ctx, s.Table, asked)
	if err != nil || len(marks) == 0 {
		return s.Upserts, err
	}
	return slices.DeleteFunc(slices.Clone(s.Upserts), func(x *rows.Change) bool {
		if !x.Late && !s.Table.Versioned {
			return false
		}
		mark, ok := marks[rawKey(x.Record.Key)]
		return ok && bytes.Compare(x.Version[:], mark) <= 0
	}), nil
}

// marks reads the marks of keys.
func (w *writer) marks(ctx context.Context, t *rows.Table, keys []*rows.Change) (map[[16]byte][]byte, error) {
	out := map[[16]byte][]byte{}
	for group := range slices.Chunk(keys, marksAtOnce) {
		w.sql = append(w.sql[:0], "SELECT raw_key, version FROM millrace_marks WHERE stream = "...)
		w.literal(rows.Text, []byte(t.Stream))
		w.sql = strconv.AppendUint(append(w.sql, " AND generation = "...), uint64(t.Generation), 10)
		w.sql = append(w.sql, " AND raw_key IN ("...)
		for i, x := range group {
			if i > 0 {
				w.sql = append(w.sql, ',')
			}
			key := rawKey(x.Record.Key)
			w.literal(rows.Bytes, key[:])
		}
		if err := w.scan(ctx, string(append(w.sql, ')')), out); err != nil {
			return nil, fmt.Errorf("read millrace_marks: %w", err)
		}
	}
	return out, nil
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
