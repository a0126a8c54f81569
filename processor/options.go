package processor

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics"
)

// sessionOpts are the client options of one session.
func (p *Processor) sessionOpts(id string, s *session) []kgo.Opt {
	raw := make([]string, 0, len(p.streams))
	larger := map[string]bool{}
	for topic, s := range p.streams {
		raw = append(raw, topic)
		larger[s.letters] = true
	}
	record := p.pipeline.Kafka.MaxRecordBytes
	opts := append(slices.Clone(p.env.Kafka),
		kgo.ConsumerGroup(p.group),
		kgo.ConsumeTopics(raw...),
		kgo.InstanceID(id),
		kgo.TransactionalID(id),
		kgo.TransactionTimeout(p.cfg.TransactionTimeout),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // so that the offset moves past them, and stays in an emptied log
		// A new group starts at the log's start; an offset that is not there is never replaced by another.
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(p.cfg.SessionTimeout),
		kgo.HeartbeatInterval(stage.Heartbeat(p.cfg.SessionTimeout)),
		kgo.RebalanceTimeout(p.cfg.TransactionTimeout+5*time.Second),
		kgo.FetchMaxBytes(int32(p.cfg.FetchBytes)),
		kgo.FetchMaxPartitionBytes(min(int32(p.cfg.FetchBytes), max(1<<20, record))),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(settle),
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 {
			if larger[topic] {
				return record + topics.LetterBytes
			}
			return record
		}),
	)
	if p.cl != nil {
		opts = append(opts, kgo.AdjustFetchOffsetsFn(s.assigned))
	}
	return append(opts, p.differs.client...) // last, so that they win
}
