// Package processor makes rows of raw records: it reads the raw topics of a pipeline's streams, runs each
// stream's steps over its records, and writes the processed topics, exactly once (promise P2).
//
// A process runs a few sessions. Each is a member of the pipeline's one consumer group and has a
// transactional producer of its own, under ids that stay the same when the process is started again. A
// session's loop is: poll, begin, process, poll and process more until the transaction is old or large
// enough, end. Outputs, dead letters and the offsets of the raw records that they were made of are
// committed in that one Kafka transaction, so the group's committed offsets are the position, and there is
// no other.
//
// What is durable when:
//
//	before the transaction's end   nothing that a read_committed reader sees, and no offset
//	after it                       every record polled since the one before has its outcome: a row, a null
//	                               (no row), nothing (filter with once), or a dead letter
//
// What a crash repeats: the work of the open transactions, which nobody has seen. The broker aborts them when
// the same session comes back (at once) or after the transaction timeout. A rebalance does the same to a
// session whose partitions it takes away.
//
// What a session runs is decided in the control topic (topics/control), which it reads after its producer is
// initialised and before it consumes. A process decides what it meets first: a stream, a logic or a raw topic that was
// never seen (see Register). An offset is committed with the topic's id and the run of positions that it is of, and
// counts only there.
//
// The outcome of an end may be unknown. A session then never goes on from memory, but from the group's committed
// offsets (see session.verify).
//
// A topic that was deleted, or recreated, beside a running processor ends all sessions of the process: a client never
// goes over to a topic of a new id. What is missing is made again, and new sessions go on (see renew).
//
// The steps of a stream are compiled and run by the package steps; the way of names through them is planned once, by
// the package plan. Neither knows Kafka.
//
// Order: a partition is processed by one goroutine at a time, and record n of raw partition p goes to
// partition p of the processed topic before record n+1.
package processor
