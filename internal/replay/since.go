package replay

import (
	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// Since says from where on in the raw topic of an epoch the newest records of the letters' keys are, by partition, so
// that no more is read: no partition is left out. Where a source has versions of its own the newest record may be
// anywhere.
func Since(p *pipeline.Pipeline, s *pipeline.Stream, epoch uint16, of []*letters.Letter) map[int32]int64 {
	from := map[int32]int64{}
	for partition := range p.Kafka.Partitions {
		from[partition] = nowhere
	}
	for _, l := range of {
		at := l.Position
		_, versioned := topics.Header(l.Record, topics.HeaderSource)
		if at.Epoch != epoch || versioned || s.Ingest.Version != "" || l.Stage == "sink" && sourced(l) {
			at.Offset = 0
		}
		if at.Epoch != epoch && l.Record.Key != nil { // the topic may have been given more partitions
			from[topics.Partition(l.Record.Key, p.Kafka.Partitions)] = 0
		}
		from[at.Partition] = min(from[at.Partition], at.Offset)
	}
	return from
}

// sourced reports whether the processed record of a letter has a version of the source's.
func sourced(l *letters.Letter) bool {
	header, _ := topics.Header(l.Record, topics.HeaderVersion)
	version, err := topics.ParseVersion(header)
	return err == nil && version.Source() != 0
}
