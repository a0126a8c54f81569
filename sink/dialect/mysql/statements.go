package mysql

import "github.com/millrace-io/millrace/sink/dialect"

// Statements are those on millrace's own tables that differ from other databases'.
func (m *Dialect) Statements() dialect.Statements {
	at, version := m.inserted("marked_at"), m.inserted("version")
	return dialect.Statements{
		Begin: "START TRANSACTION",
		NewOffset: `INSERT INTO millrace_offsets (topic, part, topic_id, next_offset, high, updated_at)
			VALUES (?, ?, ?, ?, ?, CURRENT_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE part = part`,
		Claim: `UPDATE millrace_offsets SET owner = ?, owner_name = ?, connection_id = ?, updated_at = CURRENT_TIMESTAMP(6)
			WHERE topic = ? AND part = ?`,
		MoveOffset: `UPDATE millrace_offsets SET next_offset = ?, high = ?, updated_at = CURRENT_TIMESTAMP(6)
			WHERE topic = ? AND part = ? AND owner = ? AND next_offset = ?`,
		LockOffset: "SELECT next_offset, owner FROM millrace_offsets WHERE topic = ? AND part = ? FOR UPDATE",
		PruneMarks: "DELETE FROM millrace_marks WHERE marked_at < ? LIMIT 2000",
		Now:        "CURRENT_TIMESTAMP(6)",
		MergeMarks: m.duplicate() + "marked_at = IF(" + version + " > millrace_marks.version, " + at + ", millrace_marks.marked_at)," +
			" version = IF(" + version + " > millrace_marks.version, " + version + ", millrace_marks.version)",
	}
}
