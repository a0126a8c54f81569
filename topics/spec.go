package topics

import (
	"strconv"

	"github.com/millrace-io/millrace/pipeline"
)

// Spec is a topic as it should be.
type Spec struct {
	Topic       string
	Partitions  int32
	Replication int16             // -1: the broker's default
	Configs     map[string]string // topic settings that differ from Kafka's defaults; the topic must have them
	Tuned       map[string]string // settings that a topic is given, also later, unless it has some of its own
}

// compaction keeps a compacted topic small: Kafka never compacts a segment that is written to, and by default that is
// up to 1 GiB or a week. A tombstone is kept for longer than a reader takes from the start to it.
var compaction = map[string]string{
	"segment.bytes":             strconv.Itoa(16 << 20),
	"segment.ms":                "300000",
	"min.cleanable.dirty.ratio": "0.2",
	"max.compaction.lag.ms":     "600000",
	"delete.retention.ms":       "3600000",
}

// Specs lists the topics of a pipeline: those of all its streams, and its own. A line has none of ingest's, but names
// the raw topic that it reads.
func Specs(p *pipeline.Pipeline) []Spec {
	k := p.Kafka
	size := func(n int32) string { return strconv.Itoa(int(n)) }
	retention := func(ms int64) string {
		if ms == 0 {
			ms = -1
		}
		return strconv.FormatInt(ms, 10)
	}
	var specs []Spec
	for _, s := range p.Streams {
		specs = append(specs,
			Spec{RawOf(p, s.Name), k.Partitions, k.Replication, map[string]string{
				"cleanup.policy": "delete", "retention.ms": retention(k.RawRetention.Milliseconds()),
				"max.message.bytes": size(k.MaxRecordBytes),
			}, nil},
			Spec{Processed(p.Name, s.Name), k.Partitions, k.Replication, map[string]string{
				"cleanup.policy": "delete", "retention.ms": retention(k.Retention.Milliseconds()),
				"max.message.bytes": size(k.MaxRecordBytes),
			}, nil},
			// A letter is its origin and more, so that whatever was accepted can be refused.
			Spec{DeadLetters(p.Name, s.Name), k.Partitions, k.Replication, map[string]string{
				"cleanup.policy": "delete", "retention.ms": "-1",
				"max.message.bytes": size(k.MaxRecordBytes + LetterBytes),
			}, nil})
	}
	compacted := map[string]string{"cleanup.policy": "compact", "max.message.bytes": size(k.MaxRecordBytes)}
	if p.Line == nil {
		specs = append(specs, Spec{IngestState(p.Name), StatePartitions, k.Replication, compacted, compaction})
	}
	return append(specs, Spec{Control(p.Name), 1, k.Replication, compacted, compaction})
}
