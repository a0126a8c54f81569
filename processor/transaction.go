package processor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// transact makes one transaction of what was polled and of what comes while it is open: until nothing is there to be
// added and it may end by the pace, or until it is full.
func (s *session) transact(ctx, hard context.Context, fetches kgo.Fetches) error {
	if err := s.kafka.Begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	s.began = time.Now()
	s.pace.Begin()
	clear(s.touched)
	limit := s.p.limit.get()
	records, bytes := 0, 0
	s.full = true
	var pollErr error
	for {
		n, size := s.pool.process(fetches, s.produce(hard))
		records, bytes = records+n, bytes+size
		s.touch(fetches)
		if s.pace.Rest() == 0 || records >= limit || bytes >= s.p.cfg.MaxBytes || ctx.Err() != nil || s.pool.failed() || pollErr != nil {
			break
		}
		fetches = s.more(ctx, min(pollRecords, limit-records), s.pace.Left(records, len(s.touched)))
		pollErr = pollError(s.p.group, fetches) // what came with it is processed still: it has been polled
		if pollErr == nil && fetches.Empty() && s.pace.Left(records, len(s.touched)) == 0 {
			s.full = s.pace.Rest() == 0
			break
		}
	}
	s.pace.End()
	ending := time.Now()
	if err := s.end(hard); err != nil {
		s.p.limit.lower(min(limit, records))
		return err
	}
	if time.Since(ending) < s.p.cfg.TransactionTimeout/4 {
		s.p.limit.raise(limit)
	}
	return pollErr
}

// more polls what is there or, if nothing is, what comes within a time.
func (s *session) more(ctx context.Context, limit int, within time.Duration) kgo.Fetches {
	if within == 0 {
		return s.kafka.PollRecords(nil, limit) //nolint:staticcheck // nil: at once
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return s.kafka.PollRecords(ctx, limit)
}

// touch notes the partitions of the transaction in hand.
func (s *session) touch(fetches kgo.Fetches) {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) > 0 {
			s.touched[touched{p.Topic, p.Partition}] = struct{}{}
		}
	})
}

func (s *session) produce(ctx context.Context) func(*kgo.Record) {
	return func(r *kgo.Record) { s.kafka.Produce(ctx, r, s.pool.produced) }
}

// end commits. A nil error says that the session may go on: its transaction was committed, or was aborted and
// its records will be polled again.
func (s *session) end(hard context.Context) error {
	ctx, cancel := context.WithTimeout(hard, s.p.cfg.TransactionTimeout)
	defer cancel()
	if s.p.cl != nil {
		ctx = kgo.PreTxnCommitFnContext(ctx, s.stamp)
	}
	if s.p.differs.commit != nil {
		ctx = kgo.PreTxnCommitFnContext(ctx, s.p.differs.commit)
	}
	start := time.Now()
	err := s.kafka.Client().Flush(ctx)
	if err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	failure := s.pool.failure()
	s.made = 0
	committed, err := s.kafka.End(ctx, kgo.TransactionEndTry(failure == nil))
	s.ended = time.Now()
	s.p.metrics.duration.Observe(s.ended.Sub(start).Seconds())
	if committed {
		s.p.metrics.commits.Inc()
		s.made = s.pool.committed()
		return nil
	}
	s.p.metrics.aborts.Inc()
	switch {
	case failure != nil:
		return fmt.Errorf("produce: %w", failure)
	case err != nil:
		return fmt.Errorf("end transaction: %w", err)
	}
	err = s.verify(ctx)
	if errors.Is(err, errCommitHappened) {
		s.pool.tell()
	}
	s.pool.aborted()
	if err == nil {
		err = s.reread(ctx)
	}
	return err
}

var errCommitHappened = errors.New("a commit whose outcome was not known did happen")

// verify compares the group's committed offsets with those from which the client goes on after an end without a commit.
// They differ if the end was answered with an error and did happen. Then the client would process again what is
// committed; a new session has to start from what the group says. Transactions that are about to commit are waited for.
func (s *session) verify(ctx context.Context) error {
	mine := s.kafka.Client().CommittedOffsets()
	if len(mine) == 0 {
		return nil
	}
	of := map[string][]int32{}
	for topic, partitions := range mine {
		of[topic] = slices.Collect(maps.Keys(partitions))
	}
	committed, err := admin.Committed(ctx, s.kafka.Client(), s.p.group, of)
	if err != nil {
		return fmt.Errorf("compare committed offsets: %w", err)
	}
	for topic, partitions := range mine {
		for partition, at := range partitions {
			theirs, ok := committed[topic][partition]
			now, err := s.counted(topic, partition, kadm.OffsetResponse{Offset: theirs}, ok)
			if err != nil {
				return fmt.Errorf("compare committed offset of %s[%d]: %w", topic, partition, err)
			}
			if before := max(at.Offset, control.AtStart); before != now {
				return fmt.Errorf("%w: %s[%d] is at %d, not %d", errCommitHappened, topic, partition, now, before)
			}
		}
	}
	return nil
}

// counted is where a partition goes on, by what the group has committed.
func (s *session) counted(topic string, partition int32, o kadm.OffsetResponse, ok bool) (int64, error) {
	switch ok = ok && o.At >= 0; {
	case o.Err != nil:
		return 0, o.Err
	case s.p.cl != nil:
		return s.streams[topic].next(partition, o.Offset, ok)
	case ok:
		return o.At, nil
	}
	return control.AtStart, nil
}
