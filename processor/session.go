package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// session is a group member with a transactional producer. Whatever it polls, it processes in the transaction
// that is open or begun next; and whatever is polled when that ends has been produced: the end commits
// the offsets of everything polled.
type session struct {
	p     *Processor
	id    string // transactional id and group instance id
	kafka *kgo.GroupTransactSession
	pool  pool
}

// pollRecords bounds what is processed between two looks at the clock.
const pollRecords = 10_000

// session makes a session and polls and commits until ctx is cancelled, which it looks at between
// transactions: the one in hand is ended first. hard bounds that end. It returns nil after a clean drain; after
// an error, what was not committed is processed again by whoever gets the partitions.
func (p *Processor) session(ctx, hard context.Context, adm *kadm.Client, id string) (err error) {
	s := &session{p: p, id: id, pool: newPool(p)}
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	if s.kafka, err = kgo.NewGroupTransactSession(append(p.sessionOpts(id), kgo.WithContext(life))...); err != nil {
		kill()
		return fmt.Errorf("new client: %w", err)
	}
	defer func() { s.close(hard, adm, kill, ctx.Err() != nil || mustStop(err)) }()
	// The producer is initialised now, not with its first record: that aborts a transaction that an earlier process
	// of this id left open, whose offsets would be waited for until the transaction timeout.
	if _, _, err := s.kafka.Client().ProducerID(ctx); err != nil {
		return fmt.Errorf("initialise producer %s: %w", id, err)
	}
	p.waits.done(id)
	for ctx.Err() == nil {
		fetches := s.kafka.PollRecords(ctx, min(pollRecords, p.records()))
		if ctx.Err() != nil {
			break // what this poll returned stays uncommitted
		}
		if err := p.pollError(fetches); err != nil {
			return err
		}
		if fetches.Empty() {
			continue
		}
		if err := s.transact(ctx, hard, fetches); err != nil {
			return err
		}
	}
	return nil
}

// closeGrace is how long a client may take to close by itself.
const closeGrace = 2 * time.Second

// close closes the client. A session that does not come back leaves the group: a member with an instance id
// that merely goes is waited for until its session timeout. The client does not do this by itself, and while
// it is joining it cannot even close before the others have joined too; so the coordinator is told by other
// means, before (to end such a join) and after (one may have begun meanwhile).
func (s *session) close(hard context.Context, adm *kadm.Client, kill context.CancelFunc, leaving bool) {
	defer kill()
	closed := make(chan struct{})
	go func() { defer close(closed); s.kafka.Close() }()
	if leaving {
		s.p.leave(hard, adm, s.id)
	}
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-closed:
	case <-grace.C:
		kill()
		<-closed
	}
	if leaving {
		s.p.leave(hard, adm, s.id)
	}
}

// leave removes a member from the group. Where that fails the group notices after the session timeout.
func (p *Processor) leave(ctx context.Context, adm *kadm.Client, id string) {
	ctx, cancel := context.WithTimeout(ctx, closeGrace)
	defer cancel()
	if _, err := adm.LeaveGroup(ctx, kadm.LeaveGroup(p.group).InstanceIDs(id).Reason("drained")); err != nil {
		p.env.Log.Warn("leaving the group", "group", p.group, "member", id, "error", err)
	}
}

func ignoreCancelled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the error is the cancellation
	}
	return err
}

// transact makes one transaction of what was polled and of what comes within the interval.
func (s *session) transact(ctx, hard context.Context, fetches kgo.Fetches) error {
	if err := s.kafka.Begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	until, limit := time.Now().Add(s.p.cfg.Interval), s.p.records()
	records, bytes := 0, 0
	var pollErr error
	for {
		n, size := s.pool.process(fetches, s.produce(hard))
		records, bytes = records+n, bytes+size
		left := time.Until(until)
		if left <= 0 || records >= limit || bytes >= s.p.cfg.MaxBytes || ctx.Err() != nil || s.pool.failed() || pollErr != nil {
			break
		}
		pollCtx, cancel := context.WithTimeout(ctx, left)
		fetches = s.kafka.PollRecords(pollCtx, min(pollRecords, limit-records))
		cancel()
		pollErr = s.p.pollError(fetches) // what came with it is processed still: it has been polled
	}
	if err := s.end(hard); err != nil {
		s.p.limit.Store(int64(max(1, min(limit, records)/2)))
		return err
	}
	if time.Since(until) < s.p.cfg.TransactionTimeout/4 {
		s.p.limit.Store(int64(min(s.p.cfg.MaxRecords, 2*limit)))
	}
	return pollErr
}

// records is how many a transaction may have. Where the brokers cannot take what MaxRecords allows before they abort the
// transaction, over a slow link or under a quota, each that fails halves it, and each that ends in good time doubles it.
func (p *Processor) records() int { return int(p.limit.Load()) }

func (s *session) produce(ctx context.Context) func(*kgo.Record) {
	return func(r *kgo.Record) { s.kafka.Produce(ctx, r, s.pool.produced) }
}

// end commits. A nil error says that the session may go on: its transaction was committed, or was aborted and
// its records will be polled again.
func (s *session) end(hard context.Context) error {
	ctx, cancel := context.WithTimeout(hard, s.p.cfg.TransactionTimeout)
	defer cancel()
	start := time.Now()
	err := s.kafka.Client().Flush(ctx)
	if err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	failure := s.pool.failure()
	committed, err := s.kafka.End(ctx, kgo.TransactionEndTry(failure == nil))
	s.p.metrics.duration.Observe(time.Since(start).Seconds())
	if committed {
		s.p.metrics.commits.Inc()
		s.pool.committed()
		return nil
	}
	s.p.metrics.aborts.Inc()
	switch {
	case failure != nil:
		return fmt.Errorf("produce: %w", failure)
	case err != nil:
		return fmt.Errorf("end transaction: %w", err)
	}
	s.pool.aborted()
	return s.verify(ctx)
}

var errCommitHappened = errors.New("a commit whose outcome was not known did happen")

// verify compares where the client goes on after an end without a commit with the group's committed offsets. They
// differ where the end was answered with an error after it had happened; then the client would process
// again what is committed, and a new session must start from what the group says.
func (s *session) verify(ctx context.Context) error {
	mine := s.kafka.Client().CommittedOffsets()
	committed, err := kadm.NewClient(s.kafka.Client()).FetchOffsets(kadm.RequireStable(ctx), s.p.group)
	if err != nil {
		return fmt.Errorf("compare committed offsets: %w", err)
	}
	for topic, partitions := range mine {
		for partition, at := range partitions {
			theirs, ok := committed.Lookup(topic, partition)
			if ok && theirs.Err != nil {
				return fmt.Errorf("compare committed offset of %s[%d]: %w", topic, partition, theirs.Err)
			}
			if before, now := max(at.Offset, -1), offsetOr(theirs, ok); before != now {
				return fmt.Errorf("%w: %s[%d] is at %d, not %d", errCommitHappened, topic, partition, now, before)
			}
		}
	}
	return nil
}

// offsetOr is -1 where the group has no offset.
func offsetOr(o kadm.OffsetResponse, ok bool) int64 {
	if !ok {
		return -1
	}
	return max(o.At, -1)
}
