package sink

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

// witness is a row that a batch has written: its partition's row of millrace_offsets names one, so that it shows when
// the table has lost rows that the position says are there. The batch that removes the row names another, or none, in
// the same transaction. So while the name stands, the row is in the table, with its version or a higher one; or a mark
// kept it out.
type witness struct {
	version topics.Version
	rawKey  [16]byte    // as marks name it
	key     rows.Values // of the key columns
}

// witnessBytes is how many bytes the column takes.
const witnessBytes = 255

// noWitness takes a name away.
var noWitness = &witness{}

// bytes are the version, the raw key and the values of the key columns; none for noWitness.
func (w *witness) bytes() []byte {
	if w == noWitness {
		return []byte{}
	}
	return append(append(slices.Clone(w.version[:]), w.rawKey[:]...), w.key...)
}

// parseWitness returns nil if b names no row of t: there may be none, or the table may have had other columns.
func parseWitness(b []byte, t *rows.Table) *witness {
	const head = topics.VersionSize + 16
	if len(b) < head {
		return nil
	}
	w := &witness{version: topics.Version(b[:topics.VersionSize]), rawKey: [16]byte(b[topics.VersionSize:head]), key: rows.Values(slices.Clone(b[head:]))}
	n := 0
	for rest := w.key; len(rest) > 0; n++ {
		length, size := binary.Uvarint(rest)
		if size <= 0 || uint64(len(rest)-size) < length>>2 {
			return nil
		}
		_, rest = rest.Next()
	}
	if n != len(t.Key) {
		return nil
	}
	return w
}

// String is the row's key, for people.
func (w *witness) String() string {
	var parts []string
	for rest := w.key; len(rest) > 0; {
		var v rows.Value
		v, rest = rest.Next()
		parts = append(parts, fmt.Sprintf("%q", v.Bytes))
	}
	return strings.Join(parts, ", ")
}

// testify picks a witness for each move of b: the last row that it writes for sure. Newest was called for its changes.
func (b *batch) testify() {
	for i := range b.moves {
		m := &b.moves[i]
		m.witness = nil
		if was := m.claim.witness.Load(); was != nil && m.removes(was) {
			m.witness = noWitness
		}
		for at := len(m.changes) - 1; at >= 0; at-- {
			if x := &m.changes[at]; x.Table.Findable && x.Written() && !x.Late && len(x.Key)+topics.VersionSize+16 <= witnessBytes {
				m.witness = &witness{x.Version, rawKey(x.Table, x.Record.Key), slices.Clone(x.Key)}
				break
			}
		}
	}
}

// removes reports whether m may remove a row.
func (m *move) removes(w *witness) bool {
	for i := range m.changes {
		if x := &m.changes[i]; x.Remove && x.Reason == nil && bytes.Equal(x.Key, w.key) {
			return true
		}
	}
	return false
}

// committed moves the claim.
func (m *move) committed() {
	m.claim.next, m.claim.high = m.next, m.high
	switch m.witness {
	case nil:
	case noWitness:
		m.claim.witness.Store(nil)
	default:
		m.claim.witness.Store(m.witness)
	}
}

// testimony checks the witnesses of all partitions of a topic. The error is a *TableError if the table has lost rows.
func (s *store) testimony(ctx context.Context, topic string, t *rows.Table) error {
	all := map[int32]*witness{}
	found, err := s.db.QueryContext(ctx, "SELECT part, witness FROM millrace_offsets WHERE topic = ? AND LENGTH(witness) > 0", topic)
	if err != nil {
		return s.dialect.Classify(err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var partition int32
		var b []byte
		if err := found.Scan(&partition, &b); err != nil {
			return err
		}
		if w := parseWitness(b, t); w != nil {
			all[partition] = w
		}
	}
	if err := errors.Join(found.Err(), found.Close()); err != nil {
		return s.dialect.Classify(err)
	}
	return s.hear(ctx, topic, t, all)
}

// witnessesAtOnce is how many rows a statement looks for.
const witnessesAtOnce = 100

// hear looks for the rows that witnesses name, by partition. The error is a *TableError if one is not there, or older.
func (s *store) hear(ctx context.Context, topic string, t *rows.Table, all map[int32]*witness) error {
	var partitions []int32
	for partition := range all {
		partitions = append(partitions, partition)
	}
	slices.Sort(partitions)
	for group := range slices.Chunk(partitions, witnessesAtOnce) {
		versions, err := s.versions(ctx, t, group, all)
		if err != nil {
			return s.tableError(t, "read it", err)
		}
		for _, partition := range group {
			w := all[partition]
			is, there := versions[partition]
			if there && bytes.Compare(is, w.version[:]) >= 0 {
				continue
			}
			if explained, err := s.explained(ctx, topic, t, partition, w); err != nil || explained {
				if err != nil {
					return s.dialect.Classify(err)
				}
				continue
			}
			what := fmt.Sprintf("the row with the key %s is not there, though it was written and not removed by this pipeline: "+
				"the table was emptied, or restored without millrace_offsets, or the row was deleted by hand", w)
			if there {
				what = fmt.Sprintf("the row with the key %s is older (_mr_version %x) than the one that was written (%s): "+
					"the table was restored without millrace_offsets, or the row was changed by hand", w, is, w.version)
			}
			return &TableError{Table: t.Name, Problems: []string{what + "; more may be missing: " + s.replay(t)}}
		}
	}
	return nil
}

// versions reads the versions of the rows that witnesses name, by partition.
func (s *store) versions(ctx context.Context, t *rows.Table, partitions []int32, all map[int32]*witness) (map[int32][]byte, error) {
	var sql []byte
	for i, partition := range partitions {
		if i > 0 {
			sql = append(sql, " UNION ALL "...)
		}
		sql = fmt.Appendf(sql, "SELECT %d, %s FROM %s WHERE (%s) = (", partition, rows.VersionColumn, dialect.Quote(t.Name), dialect.KeyNames(t))
		sql = append(dialect.AppendValues(sql, s.dialect, all[partition].key), ')')
	}
	found, err := s.db.QueryContext(ctx, string(sql))
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	out := map[int32][]byte{}
	for found.Next() {
		var partition int32
		var version []byte
		if err := found.Scan(&partition, &version); err != nil {
			return nil, err
		}
		out[partition] = version
	}
	return out, found.Err()
}

// explained reports whether it is no loss that a row is not there: another witness was named since, or a mark kept the
// row out. A mark may be pruned, so the name is taken away.
func (s *store) explained(ctx context.Context, topic string, t *rows.Table, partition int32, w *witness) (bool, error) {
	var now []byte
	err := s.db.QueryRowContext(ctx, "SELECT witness FROM millrace_offsets WHERE topic = ? AND part = ?", topic, partition).Scan(&now)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !bytes.Equal(now, w.bytes()) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	var mark []byte
	err = s.db.QueryRowContext(ctx, "SELECT version FROM millrace_marks WHERE stream = ? AND generation = ? AND raw_key = ?",
		t.Stream, t.Generation, w.rawKey[:]).Scan(&mark)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	if bytes.Compare(mark, w.version[:]) < 0 {
		return false, nil
	}
	_, err = s.db.ExecContext(ctx, "UPDATE millrace_offsets SET witness = NULL WHERE topic = ? AND part = ? AND witness = ?", topic, partition, now)
	return true, err
}

// accept forgets, in the transaction under way, what is known of a table: it is right as it is.
func (s *store) accept(ctx context.Context, conn *sql.Conn, topic, table string) error {
	if _, err := conn.ExecContext(ctx, "DELETE FROM millrace_tables WHERE topic = ? AND name = ?", topic, table); err != nil {
		return err
	}
	return s.forgetWitnesses(ctx, conn, topic)
}

// forgetWitnesses takes the names away of rows that were removed by hand, or may be.
func (*store) forgetWitnesses(ctx context.Context, conn *sql.Conn, topic string) error {
	_, err := conn.ExecContext(ctx, "UPDATE millrace_offsets SET witness = NULL WHERE topic = ?", topic)
	return err
}

// someWitnesses are one of each topic, any.
func (s *Sink) someWitnesses() map[string]map[int32]*witness {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := map[string]map[int32]*witness{}
	for _, c := range s.claims { // in any order, and another one each time
		if w := c.witness.Load(); w != nil && out[c.topic] == nil && !c.revoked.Load() {
			out[c.topic] = map[int32]*witness{c.partition: w}
		}
	}
	return out
}
