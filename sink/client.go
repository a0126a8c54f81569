package sink

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics"
)

// join makes the client, which joins the group at once: its callbacks wait until it is in its place.
func (s *Sink) join(ctx, life context.Context) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.claims)
	s.closeFills()
	if s.client, err = kgo.NewClient(append(s.clientOpts(ctx), kgo.WithContext(life))...); err == nil {
		s.adm = kadm.NewClient(s.client)
		for topic := range s.tables.all() {
			if waits, _ := s.parking.has(topic); waits {
				s.client.PauseFetchTopics(topic)
			}
		}
	}
	return err
}

// clientOpts are the consumer's options. ctx is Run's: once it is cancelled no callback waits for a server.
func (s *Sink) clientOpts(ctx context.Context) []kgo.Opt {
	names := make([]string, 0, len(s.tables.all()))
	for topic := range s.tables.all() {
		names = append(names, topic)
	}
	slices.Sort(names)
	record := s.pipeline.Kafka.MaxRecordBytes
	return append(slices.Clone(s.env.Kafka),
		kgo.ConsumerGroup(topics.SinkGroup(s.pipeline.Name)),
		kgo.ConsumeTopics(names...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // so that the position moves past them, and stays in an emptied log
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // a position that is not there is never replaced by another
		kgo.AdjustFetchOffsetsFn(func(session context.Context, at map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			session, cancel := context.WithCancel(session)
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			return s.assigned(session, at)
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, _ *kgo.Client, gone map[string][]int32) { s.gone(ctx, gone, true) }),
		kgo.OnPartitionsLost(func(ctx context.Context, _ *kgo.Client, gone map[string][]int32) { s.gone(ctx, gone, false) }),
		kgo.AutoCommitMarks(), // for lag tools
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(s.cfg.SessionTimeout),
		kgo.HeartbeatInterval(stage.Heartbeat(s.cfg.SessionTimeout)),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.FetchMaxBytes(int32(s.cfg.MaxFetchBytes)),
		kgo.FetchMaxPartitionBytes(min(int32(s.cfg.MaxFetchBytes), max(1<<20, record))),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), // a letter keeps its origin's partition
		kgo.ProducerBatchMaxBytes(record+topics.LetterBytes),
	)
}

// closeGrace is how long a client may take to leave the group: one that is joining waits for the other members.
const closeGrace = 5 * time.Second

// leave releases the claims and leaves the group, so that others take over at once.
func (s *Sink) leave(ctx context.Context, kill context.CancelFunc) {
	stage.CloseWithin(closeGrace, s.client.CloseAllowingRebalance, kill) // revokes, which releases
	s.mu.Lock()
	defer s.mu.Unlock()
	left := make([]*claim, 0, len(s.claims))
	for _, c := range s.claims {
		left = append(left, c)
	}
	ctx, cancel := context.WithTimeout(ctx, closeGrace)
	defer cancel()
	if err := s.store.release(ctx, left); err != nil {
		s.env.Log.Debug("claims not released; whoever takes over will claim all the same", "err", err)
	}
	for _, w := range s.writers {
		w.disconnect()
	}
}
