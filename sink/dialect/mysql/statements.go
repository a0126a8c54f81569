package mysql

import (
	"strconv"

	"github.com/millrace-io/millrace/sink/dialect"
)

// place joins a row of millrace_offsets to its literals by the primary key. STRAIGHT_JOIN keeps the order of the list,
// which is the order in which all sinks take these locks.
const place = " STRAIGHT_JOIN millrace_offsets AS o ON o.topic = CONVERT(m.topic USING ascii) COLLATE ascii_bin AND o.part = m.part"

// owned is the row of a partition, if its owner is the one that the list says.
const owned = place + " AND o.owner = m.owner"

// guard is what a row must be for its offset to move.
const (
	guardColumns = "topic, part, owner, expected, moved, high, witness"
	guard        = place + " AND o.owner = m.owner AND o.next_offset = m.expected"
)

// Statements are those on millrace's own tables that differ from other databases'.
func (m *Dialect) Statements() dialect.Statements {
	at, version := m.inserted("marked_at"), m.inserted("version")
	return dialect.Statements{
		Begin:      "START TRANSACTION",
		LockOffset: "SELECT next_offset, owner FROM millrace_offsets WHERE topic = ? AND part = ? FOR UPDATE",
		NewOffsets: dialect.Many{
			Head: "INSERT INTO millrace_offsets (topic, part, topic_id, next_offset, high, updated_at)" +
				" SELECT m.topic, m.part, m.topic_id, m.next_offset, X'0000000000000000', CURRENT_TIMESTAMP(6) FROM ",
			Columns: "topic, part, topic_id, next_offset", Tail: " ON DUPLICATE KEY UPDATE part = millrace_offsets.part",
		},
		LockOffsets: dialect.Many{
			Head: "SELECT o.topic, o.part, o.topic_id, o.next_offset, o.high, o.witness FROM ", Columns: "topic, part", Tail: place + " FOR UPDATE OF o",
		},
		ClaimOffsets: dialect.Many{
			Head: "UPDATE ", Columns: "topic, part, owner, name, connection",
			Tail: place + " SET o.owner = m.owner, o.owner_name = m.name, o.connection_id = m.connection, o.updated_at = CURRENT_TIMESTAMP(6)",
		},
		FreeOffsets: dialect.Many{Head: "SELECT o.topic, o.part FROM ", Columns: "topic, part", Tail: place + " FOR UPDATE OF o SKIP LOCKED"},
		OwnersOfOffsets: dialect.Many{
			Head: "SELECT DISTINCT o.connection_id FROM ", Columns: "topic, part", Tail: place + " WHERE o.connection_id IS NOT NULL",
		},
		OpenOffsets: dialect.Many{Head: "SELECT o.topic, o.part FROM ", Columns: "topic, part", Tail: place + " WHERE o.owner IS NULL"},
		RenewOffsets: dialect.Many{
			Head: "UPDATE ", Columns: "topic, part, topic_id, next_offset",
			Tail: place + " SET o.topic_id = m.topic_id, o.next_offset = m.next_offset",
		},
		PublishOffsets: dialect.Many{
			Head: "UPDATE ", Columns: "topic, part, owner, connection", Tail: owned + " SET o.connection_id = m.connection",
		},
		ReleaseOffsets: dialect.Many{
			Head: "UPDATE ", Columns: "topic, part, owner", Tail: owned + " SET o.owner = NULL, o.connection_id = NULL",
		},
		MoveOffsets: dialect.Many{
			Head: "UPDATE ", Columns: guardColumns,
			Tail: guard + " SET o.next_offset = m.moved, o.high = m.high, o.witness = COALESCE(m.witness, o.witness), o.updated_at = CURRENT_TIMESTAMP(6)",
		},
		HeldOffsets: dialect.Many{Head: "SELECT o.topic, o.part FROM ", Columns: guardColumns, Tail: guard},
		PruneMarks: "DELETE FROM millrace_marks WHERE stream = ? AND marked_at < ?" +
			" AND NOT EXISTS (SELECT 1 FROM millrace_owners WHERE stream = ? AND marking > 0) LIMIT " + strconv.Itoa(dialect.PruneAtOnce),
		CaughtUp: "INSERT IGNORE INTO millrace_caught_up (topic, hour) VALUES (?, DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%d %H:00:00'))",
		NewOwner: "INSERT INTO millrace_owners (table_name, pipeline, stream, topic_id, epoch, updated_at) VALUES (?, '', '', " +
			"X'00000000000000000000000000000000', 0, CURRENT_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE epoch = millrace_owners.epoch",
		SetOwner:    "UPDATE millrace_owners SET pipeline = ?, stream = ?, topic_id = ?, epoch = ?, updated_at = CURRENT_TIMESTAMP(6) WHERE table_name = ?",
		ShareOwners: " LOCK IN SHARE MODE", // MariaDB has no FOR SHARE
		LockOwners:  " FOR UPDATE",
		Now:         "CURRENT_TIMESTAMP(6)",
		MergeMarks: m.duplicate() + "marked_at = IF(" + version + " > millrace_marks.version, " + at + ", millrace_marks.marked_at)," +
			" version = IF(" + version + " > millrace_marks.version, " + version + ", millrace_marks.version)",
	}
}
