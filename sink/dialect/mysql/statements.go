package mysql

import "github.com/millrace-io/millrace/sink/dialect"

// place joins a row of millrace_offsets to its literals by the primary key. STRAIGHT_JOIN keeps the order of the list,
// which is the order in which all sinks take these locks.
const place = " STRAIGHT_JOIN millrace_offsets AS o ON o.topic = CONVERT(m.topic USING ascii) COLLATE ascii_bin AND o.part = m.part"

// guard is what a row must be for its offset to move.
const (
	guardColumns = "topic, part, owner, expected, moved, high"
	guard        = place + " AND o.owner = m.owner AND o.next_offset = m.expected"
)

// Statements are those on millrace's own tables that differ from other databases'.
func (m *Dialect) Statements() dialect.Statements {
	at, version := m.inserted("marked_at"), m.inserted("version")
	return dialect.Statements{
		Begin: "START TRANSACTION",
		NewOffset: `INSERT INTO millrace_offsets (topic, part, topic_id, next_offset, high, updated_at)
			VALUES (?, ?, ?, ?, ?, CURRENT_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE part = part`,
		Claim: `UPDATE millrace_offsets SET owner = ?, owner_name = ?, connection_id = ?, updated_at = CURRENT_TIMESTAMP(6)
			WHERE topic = ? AND part = ?`,
		MoveOffsets: dialect.Many{
			Head: "UPDATE ", Columns: guardColumns,
			Tail: guard + " SET o.next_offset = m.moved, o.high = m.high, o.updated_at = CURRENT_TIMESTAMP(6)",
		},
		HeldOffsets: dialect.Many{Head: "SELECT o.topic, o.part FROM ", Columns: guardColumns, Tail: guard},
		LockOffset:  "SELECT next_offset, owner FROM millrace_offsets WHERE topic = ? AND part = ? FOR UPDATE",
		PruneMarks:  "DELETE FROM millrace_marks WHERE marked_at < ? LIMIT 2000",
		Now:         "CURRENT_TIMESTAMP(6)",
		MergeMarks: m.duplicate() + "marked_at = IF(" + version + " > millrace_marks.version, " + at + ", millrace_marks.marked_at)," +
			" version = IF(" + version + " > millrace_marks.version, " + version + ", millrace_marks.version)",
	}
}
