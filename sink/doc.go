// Package sink is the third stage: it reads processed topics and writes their rows to MySQL, or to a SQLite file.
//
// It reads the processed topics of all its streams as a member of one consumer group. Its position is not the
// group's offset but the next offset in the table millrace_offsets, which moves in the same transaction as the rows:
//
//	UPDATE millrace_offsets … for each partition: owner = ours AND next_offset = where this batch begins
//	DELETE and marks for records without rows
//	INSERT … ON DUPLICATE KEY UPDATE, if the version is higher
//	COMMIT
//
// So a crash repeats what was not committed, and nothing else. Whoever is given a partition claims it with a random
// token in its row of millrace_offsets; a process that lost it finds another's token, writes nothing, and says that
// it was fenced. Rows carry the version of their record (_mr_version), and a row takes new values only from a higher
// one: records that come again, or late, change nothing. Where a row was removed, a mark keeps the version of the
// removal, so that an older record does not bring the row back.
//
// A table has one stream that writes it, and an epoch, in millrace_owners. Where the processed topic is another one
// than the claim before read, its offsets begin again: the epoch rises, and with it the versions of all that is read.
//
// A row that the database refuses is found by trying pieces of the batch, and goes to the dead-letter topic before the
// offset moves on; a crash between the two sends the letter twice, under the same mr-id.
//
// The files, in the order in which a record meets them: claims.go, claim.go and owner.go (who owns a partition and a
// table, and where to go on), loop.go and poll.go (a poll is cut into jobs), job.go and batch.go (a job becomes a
// batch, by package rows), fate.go (the batch is tried until it is written; isolate.go and letters.go if the database
// refuses it), writer.go with guard.go, remove.go, marks.go and upsert.go (the transaction). Package dialect writes
// what differs from one database to the next.
//
// A large table of a line that is being built is filled in the order of its keys (fill.go), by package sorted.
//
// follow.go reads what is decided in the control topic: pauses (parking.go), positions that processors have lost
// (lost.go), and the columns of the logic that is live (define.go; old.go counts the rows of older logic). witness.go
// notices a table that has lost rows. admin.go is for commands beside running sinks, and compare.go for dry runs.
//
// Offsets are committed to the consumer group after the transaction, for tools that show lag, and for nothing else.
package sink
