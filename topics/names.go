package topics

import "strconv"

// StatePartitions is the number of partitions of the topic with ingest's cursors. A slice hashes to one of
// them, so the number stays as it is for ever.
const StatePartitions = 32

// Raw is the topic with the records of a stream as the API sent them.
func Raw(pipeline, stream string) string { return pipeline + "." + stream + ".raw" }

// Processed is the topic with the rows of a stream.
func Processed(pipeline, stream string) string { return pipeline + "." + stream + ".processed" }

// DeadLetters is the topic with what could not be processed or stored.
func DeadLetters(pipeline, stream string) string { return pipeline + "." + stream + ".dlq" }

// IngestState is the compacted topic with the cursors of all slices of all streams of a pipeline.
func IngestState(pipeline string) string { return pipeline + ".ingest.state" }

// LineName is the name of the pipeline that a line of a stream is, if it is not the base line: shop.g2.orders. No
// pipeline file has a name with dots, and nothing that is named after a pipeline begins so: neither topics nor
// transactional ids.
func LineName(pipeline, stream string, line uint16) string {
	return pipeline + ".g" + strconv.Itoa(int(line)) + "." + stream
}

// Control is the compacted topic with generations and pauses.
func Control(pipeline string) string { return pipeline + ".control" }

// FeedPartition is the partition of [IngestState] that has the children of a stream which are made from the records in
// a partition of its parent's raw topic. It is the same for ever.
func FeedPartition(stream string, partition int32) int32 {
	return (Partition([]byte("feed:"+stream), StatePartitions) + partition) % StatePartitions
}

// IngestCredentialID is the transactional id of who writes a credential of ingest, which [IngestState] keeps too.
func IngestCredentialID(pipeline, name string) string { return pipeline + ".ingest.credential." + name }

// IngestGroup is the consumer group that shares the partitions of [IngestState] among ingest processes.
func IngestGroup(pipeline string) string { return pipeline + ".ingest" }

// ProcessorGroup is the consumer group that shares the raw topics among processors.
func ProcessorGroup(pipeline string) string { return pipeline + ".processor" }

// SinkGroup is the consumer group that shares the processed topics among sinks.
func SinkGroup(pipeline string) string { return pipeline + ".sink" }

// ReplayGroup is the consumer group that shares a stream's raw topic among those who process it again.
func ReplayGroup(pipeline, stream string) string { return pipeline + ".replay." + stream }

// ReplayTransactionalIDs begins the transactional ids of all who process a stream again.
func ReplayTransactionalIDs(pipeline, stream string) string {
	return pipeline + ".replay." + stream + "."
}

// ReplayTransactionalID belongs to one session of one process that processes a stream again.
func ReplayTransactionalID(pipeline, stream, instance string, session int) string {
	return ReplayTransactionalIDs(pipeline, stream) + instance + "." + strconv.Itoa(session)
}

// IngestTransactionalID belongs to whoever may write the cursors of one partition of [IngestState].
func IngestTransactionalID(pipeline string, partition int32) string {
	return pipeline + ".ingest." + strconv.Itoa(int(partition))
}

// ProcessorTransactionalIDs begins the transactional ids of all sessions of all processors.
func ProcessorTransactionalIDs(pipeline string) string { return pipeline + ".processor." }

// ProcessorTransactionalID belongs to one session of one processor process.
func ProcessorTransactionalID(pipeline, instance string, session int) string {
	return ProcessorTransactionalIDs(pipeline) + instance + "." + strconv.Itoa(session)
}

// GrowTransactionalID belongs to whoever writes the raw records of a pipeline again, to more partitions.
func GrowTransactionalID(pipeline string) string { return pipeline + ".grow" }

// EditTransactionalID belongs to whoever writes edited records of a stream to its raw topic.
func EditTransactionalID(pipeline, stream string) string { return pipeline + ".edit." + stream }

// SweepTransactionalID belongs to whoever deletes what an API shows no more from a raw topic.
func SweepTransactionalID(pipeline, stream string) string { return pipeline + ".sweep." + stream }
