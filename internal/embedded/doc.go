// Package embedded is the in-process Kafka broker of a pipeline that names no brokers, on kfake, and
// the directory that it shares with the SQLite file of a pipeline that names no database:
//
//	.millrace/shop/lock          held by the one process that uses the directory; its process id
//	              /kafka/        topics, records, group offsets and transactions, as kfake keeps them
//	              /kafka.commit  the commit that the broker has begun, until the next one or a clean stop
//	              /kafka.port    where the broker listened, to listen there again
//	              /millrace.db   the tables; the sink opens it
//
// What was acknowledged survives a restart and a kill of the process. kfake alone does not keep transactions whole over
// a kill (see [repair]): so each commit is written down before it begins, and before the broker reads its files again,
// open transactions are ended there, that one as it was meant, others by an abort. Topics must be created explicitly:
// one that the broker makes by itself is on disk only after a clean stop.
//
// It is for trying out, for development and for tests: one process, no replication, one goroutine for all requests,
// and no more than the page cache between a write and a power cut.
package embedded
