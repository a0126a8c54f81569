package processor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
)

// session is a group member with a transactional producer. What it polls, it processes in the transaction that is open
// or begun next. An end commits the offsets of everything polled, so everything polled must have been produced before.
type session struct {
	p     *Processor
	id    string // transactional id and group instance id
	kafka *kgo.GroupTransactSession
	pool  pool

	streams map[string]*stream // by raw topic: what was decided when the session began
	planned chan struct{}      // closed when streams is there
	closing chan struct{}      // closed when the session ends

	pace    stage.Pace
	touched map[touched]struct{} // by the transaction in hand
	made    int                  // of how many records the last transaction committed the outcome
	full    bool                 // the last transaction ended although there was, or may have been, more to add
	began   time.Time            // the last transaction
	ended   time.Time            // its commit, or abort
}

// touched is a partition of a raw topic.
type touched struct {
	topic     string
	partition int32
}

// settle is how long a session produces nothing after a transaction. The brokers write the markers of its end behind their
// answer. What is produced before they have is held up by 20 ms (add.partitions.to.txn.retry.backoff.ms, KIP-890), and the
// transaction stays open as long.
const settle = 10 * time.Millisecond

// next is when the next transaction may begin. After a full one the session processes at once, as the cores would be idle else; the
// client lingers for as long before it sends.
func (s *session) next() time.Time {
	if s.full {
		return s.ended
	}
	return s.ended.Add(settle)
}

// pollRecords bounds what is processed between two looks at the clock.
const pollRecords = 10_000

// runSession makes a session and polls and commits until ctx is cancelled, which it looks at between
// transactions: the one in hand is ended first. hard bounds that end. It returns nil after a clean drain; after
// an error, what was not committed is processed again by whoever gets the partitions.
func (p *Processor) runSession(ctx, hard context.Context, adm *kadm.Client, id string) (err error) {
	s := &session{
		p: p, id: id, pace: stage.Pace{Interval: p.cfg.Interval}, touched: map[touched]struct{}{},
		planned: make(chan struct{}), closing: make(chan struct{}),
	}
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	if s.kafka, err = kgo.NewGroupTransactSession(append(p.sessionOpts(id, s), kgo.WithContext(life))...); err != nil {
		kill()
		return fmt.Errorf("new client: %w", err)
	}
	defer func() { s.close(hard, adm, kill, ctx.Err() != nil || needsOperator(err)) }()
	// The producer is initialised now, not with its first record: that aborts a transaction that an earlier process
	// of this id left open, whose offsets would be waited for until the transaction timeout.
	if _, _, err := s.kafka.Client().ProducerID(ctx); err != nil {
		return fmt.Errorf("initialise producer %s: %w", id, err)
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	p.waits.Done(server, id)
	for ctx.Err() == nil {
		fetches := stage.Gather(ctx, s.next(), min(pollRecords, p.limit.get()), s.kafka.PollRecords)
		if ctx.Err() != nil {
			break // what this poll returned stays uncommitted
		}
		if err := pollError(p.group, fetches); err != nil {
			return s.gap(ctx, adm, err)
		}
		if fetches.Empty() {
			continue
		}
		if err := s.transact(ctx, hard, fetches); err != nil {
			return s.gap(ctx, adm, err)
		}
		if p.differs.ended != nil {
			p.differs.ended(ctx, s)
		}
		p.rate.pause(ctx, s.made, s.began)
	}
	return nil
}

// begin reads what is decided. Whoever had the session's ids before can commit no more, so what is decided from here on is
// seen by this session's turn, or ends what it has begun.
func (s *session) begin(ctx context.Context) (err error) {
	s.streams = s.p.streams
	if s.p.differs.begun != nil {
		if err := s.p.differs.begun(ctx); err != nil {
			return err
		}
	}
	if s.p.cl != nil {
		if s.streams, err = s.p.plan(ctx, s.p.cl); err != nil {
			return err
		}
		for topic, run := range s.streams {
			if run.stands {
				s.kafka.Client().PauseFetchTopics(topic)
			}
		}
	}
	s.pool = newPool(s.p, s.streams)
	close(s.planned)
	return nil
}

// reread ends the session if something was decided since it began. It is called after an abort: the client may have
// initialised its producer again on its own then, so that what fenced it before has no hold on it.
func (s *session) reread(ctx context.Context) error {
	if s.p.differs.begun != nil {
		return s.p.differs.begun(ctx)
	}
	if s.p.cl == nil {
		return nil
	}
	view := s.p.decided.view
	if _, err := view.Refresh(ctx); err != nil {
		return err
	}
	for topic, run := range s.streams {
		file := s.p.streams[topic]
		if now := view.Stream(run.name); matters(now, file) != run.matters {
			s.p.noticed(file, now)
			return errDecided
		}
	}
	return nil
}

// closeGrace is how long a client may take to close by itself.
const closeGrace = 2 * time.Second

// close closes the client. A session that does not come back has to leave the group: a member with an instance id is
// waited for until its session timeout. The client does not leave by itself, and while it joins it cannot close before
// the other members have joined too. So adm tells the coordinator: during the close, to end such a join, and after it,
// because another may have begun.
func (s *session) close(hard context.Context, adm *kadm.Client, kill context.CancelFunc, leaving bool) {
	defer kill()
	close(s.closing)
	var left sync.WaitGroup
	if leaving {
		left.Go(func() { s.p.leave(hard, adm, s.id) })
	}
	stage.CloseWithin(closeGrace, s.kafka.Close, kill)
	left.Wait()
	if leaving {
		s.p.leave(hard, adm, s.id)
	}
}

// leave removes a member from the group. If that fails, the group notices after the session timeout.
func (p *Processor) leave(ctx context.Context, adm *kadm.Client, id string) {
	ctx, cancel := context.WithTimeout(ctx, closeGrace)
	defer cancel()
	if _, err := adm.LeaveGroup(ctx, kadm.LeaveGroup(p.group).InstanceIDs(id).Reason("drained")); err != nil {
		p.env.Log.Warn("leaving the group", "group", p.group, "member", id, "err", err)
	}
}
