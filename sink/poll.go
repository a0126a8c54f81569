package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fetchErrors tells of the errors of a poll, and parks the streams whose positions the log does not have.
func (s *Sink) fetchErrors(fetches kgo.Fetches) {
	healthy := fetches.NumRecords() > 0
	fetches.EachError(func(topic string, partition int32, e error) {
		var loss *kgo.ErrDataLoss
		switch {
		case errors.Is(e, context.DeadlineExceeded), errors.Is(e, context.Canceled):
		case errors.Is(e, kgo.ErrClientClosed):
		case errors.Is(e, kerr.OffsetOutOfRange), errors.As(e, &loss):
			if c := s.claims[topicPartition{topic, partition}]; c != nil {
				s.park(topic, s.positionError(c))
			}
		case errors.Is(e, kerr.UnknownTopicID): // it was recreated: no answer will be another
			s.suspect.Store(true)
		default:
			healthy = false
			s.waits.On("Kafka", "", fmt.Errorf("%s[%d]: %w", topic, partition, e))
		}
	})
	if healthy {
		s.waits.Done("Kafka", "")
	}
}

// positionError describes a position that the log does not have.
func (s *Sink) positionError(c *claim) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if infos, err := s.partitions(ctx, c.topic); err == nil {
		return s.store.positionError(c, c.polled, infos[topicPartition{c.topic, c.partition}])
	}
	e := s.store.positionError(c, c.polled, bounds{start: c.polled + 1, end: c.polled}) // most often retention took it
	e.Start, e.End = -1, -1
	return e
}

// split gives each writer the records of its partitions, or all to the first, in batches of at most MaxRecords and
// MaxBatchBytes. It parks streams of which records that were not read yet have been deleted from the log, or are of a
// logic that is not known yet.
func (s *Sink) split(fetches kgo.Fetches) (queues [][]*job) {
	byWriter := make([][]polled, len(s.writers))
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		c := s.claims[topicPartition{p.Topic, p.Partition}]
		if c == nil || c.revoked.Load() {
			return // fetched before it was taken from us
		}
		records := p.Records
		for len(records) > 0 && records[0].Offset < c.polled {
			records = records[1:] // fetched before it was claimed again
		}
		if len(records) == 0 {
			return
		}
		if records[0].Offset > c.polled && p.LogStartOffset > c.polled {
			s.park(p.Topic, s.positionError(c))
			return
		}
		if n := newest(records); n > s.tables.knows(p.Topic) {
			s.tables.want(p.Topic, n)
			s.park(p.Topic, errNewer)
			s.parking.soon(p.Topic)
			return
		}
		if c.fill != nil {
			c.fill.read(c, records)
			return
		}
		byWriter[c.writer] = extend(byWriter[c.writer], polled{c, c.polled, records})
		c.polled = records[len(records)-1].Offset + 1
	})
	if s.together(byWriter) {
		byWriter = [][]polled{slices.Concat(byWriter...)}
	}
	for _, all := range byWriter {
		queues = append(queues, s.jobs(all))
	}
	return queues
}

// stride is how many records of a partition come before some of the next.
const stride = 200

// jobs cuts records into batches. Each has some of every partition: records of one time often have neighbouring keys,
// which are in all partitions, and a transaction is the faster the fewer pages of the table it touches.
func (s *Sink) jobs(all []polled) (queue []*job) {
	for len(all) > 0 {
		rest := all[:0]
		for _, p := range all {
			for n := stride; n > 0 && len(p.records) > 0; {
				if len(queue) == 0 || queue[len(queue)-1].full(s.cfg) {
					queue = append(queue, newJob(s.client, s.pipeline.Name))
				}
				n -= queue[len(queue)-1].fill(&p, n, s.cfg)
			}
			if len(p.records) > 0 {
				rest = append(rest, p)
			}
		}
		all = rest
	}
	return queue
}
