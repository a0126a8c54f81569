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
	Configs     map[string]string // topic settings that differ from Kafka's defaults
}

// Specs lists the topics of a pipeline: those of all its streams, and its own.
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
			Spec{Raw(p.Name, s.Name), k.Partitions, k.Replication, map[string]string{
				"cleanup.policy": "delete", "retention.ms": retention(k.RawRetention.Milliseconds()),
				"max.message.bytes": size(k.MaxRecordBytes),
			}},
			Spec{Processed(p.Name, s.Name), k.Partitions, k.Replication, map[string]string{
				"cleanup.policy": "delete", "retention.ms": retention(k.Retention.Milliseconds()),
				"max.message.bytes": size(k.MaxRecordBytes),
			}},
			// A letter is its origin and more, so that whatever was accepted can be refused.
			Spec{DeadLetters(p.Name, s.Name), k.Partitions, k.Replication, map[string]string{
				"cleanup.policy": "delete", "retention.ms": "-1",
				"max.message.bytes": size(k.MaxRecordBytes + LetterBytes),
			}})
	}
	compacted := map[string]string{"cleanup.policy": "compact", "max.message.bytes": size(k.MaxRecordBytes)}
	return append(specs,
		Spec{IngestState(p.Name), StatePartitions, k.Replication, compacted},
		Spec{Control(p.Name), 1, k.Replication, compacted})
}
