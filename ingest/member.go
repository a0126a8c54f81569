package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics"
)

// member is this process in the group that shares the partitions of the state topic. The group decides who tries a
// partition; nothing is consumed through it, and nothing depends on its being right: see [claim].
type member struct {
	in    *Ingest
	topic string
	log   *slog.Logger
	leave context.CancelCauseFunc // ends the membership
	fetch context.Context         // ends when new work must not be begun
	work  context.Context         // values only: owners end it themselves

	mu     sync.Mutex
	owners map[int32]*running
}

// running is an owner at work.
type running struct {
	stop context.CancelFunc // begin nothing new, commit what is there
	kill context.CancelFunc // drop everything
	done chan struct{}
}

// participate joins the group, works as its member, and leaves when ctx ends, when it was fenced, or when the state
// topic was recreated, which is the error then.
func (in *Ingest) participate(ctx context.Context) error {
	joined, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	m := &member{
		in: in, topic: topics.IngestState(in.p.Name), log: in.env.Log, leave: leave, fetch: joined,
		work: context.WithoutCancel(ctx), owners: map[int32]*running{},
	}
	cl, err := kgo.NewClient(append(append([]kgo.Opt(nil), in.env.Kafka...),
		kgo.ConsumerGroup(topics.IngestGroup(in.p.Name)),
		kgo.ConsumeTopics(m.topic),
		kgo.SessionTimeout(in.cfg.SessionTimeout),
		kgo.HeartbeatInterval(stage.Heartbeat(in.cfg.SessionTimeout)),
		kgo.RebalanceTimeout(max(30*time.Second, in.cfg.SessionTimeout)),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(m.assigned),
		kgo.OnPartitionsRevoked(m.revoked),
		kgo.OnPartitionsLost(m.lost),
	)...)
	if err != nil {
		return fmt.Errorf("ingest: join the group: %w", err)
	}
	cl.PauseFetchTopics(m.topic) // who claims a partition reads it itself
	var watching sync.WaitGroup
	watching.Go(func() { m.watch(joined) })
	m.poll(joined, cl)
	watching.Wait()
	m.release(m.partitions(), in.cfg.Drain)
	left, cancel := context.WithTimeout(m.work, leaveTimeout)
	_ = cl.LeaveGroupContext(left) // without an answer the session times out
	cancel()
	cl.CloseAllowingRebalance()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(joined)
}

const leaveTimeout = 3 * time.Second

// groupMember is who waits when the group cannot be joined, or asked.
const groupMember = "group"

// poll looks at what the group has to say until ctx ends. Heartbeats go on by themselves, whatever the owners do.
func (m *member) poll(ctx context.Context, cl *kgo.Client) {
	defer m.in.waits.Drop(groupMember)
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		if err := fetches.Err(); err != nil {
			m.in.waits.On(kafka, groupMember, err)
			_ = stage.Sleep(ctx, 200*time.Millisecond)
		}
	}
}

func (m *member) assigned(_ context.Context, cl *kgo.Client, lists map[string][]int32) {
	m.mu.Lock()
	for _, p := range lists[m.topic] {
		if m.owners[p] != nil {
			continue
		}
		if len(m.in.byPartition[p]) == 0 {
			m.owners[p] = nil
			continue
		}
		m.owners[p] = m.start(cl, p)
	}
	owned := m.owned()
	m.mu.Unlock()
	m.in.setOwned(owned)
	m.in.waits.Done(kafka, groupMember)
	m.log.Info("partitions assigned", "group", topics.IngestGroup(m.in.p.Name), "partitions", len(lists[m.topic]),
		"slices", len(owned))
}

// owned lists the slices of all partitions that are assigned.
func (m *member) owned() []sliceRef {
	var owned []sliceRef
	for p := range m.owners {
		owned = append(owned, m.in.byPartition[p]...)
	}
	return owned
}

func (m *member) start(cl *kgo.Client, partition int32) *running {
	fetch, stop := context.WithCancel(m.fetch)
	work, kill := context.WithCancel(m.work)
	r := &running{stop: stop, kill: kill, done: make(chan struct{})}
	o := &owner{
		in: m.in, partition: partition,
		confirm: func(ctx context.Context) error { return m.confirm(ctx, cl, partition) },
	}
	go func() {
		defer close(r.done)
		if err := o.run(fetch, work); err != nil {
			m.leave(err)
		}
	}()
	return r
}

// confirm asks the group whether we are a member of it still, by committing an offset that nobody reads: a process
// that was frozen finds out here, before it takes a partition back from whoever has it now.
func (m *member) confirm(ctx context.Context, cl *kgo.Client, partition int32) error {
	for {
		var answer error
		attempt, cancel := context.WithTimeout(ctx, confirmTimeout)
		cl.CommitOffsetsSync(attempt, map[string]map[int32]kgo.EpochOffset{m.topic: {partition: {Epoch: -1}}},
			func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
				answer = err
				if err == nil && len(resp.Topics) == 1 && len(resp.Topics[0].Partitions) == 1 {
					answer = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
				}
			})
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case answer == nil:
			return nil
		case expelled(answer):
			return &changelog.FencedError{Topic: m.topic, Partition: partition, Err: answer}
		case !errors.Is(answer, kerr.RebalanceInProgress):
			return fmt.Errorf("ask the group for state partition %d: %w", partition, answer)
		}
		if err := stage.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

const confirmTimeout = 15 * time.Second

func (m *member) revoked(_ context.Context, _ *kgo.Client, lists map[string][]int32) {
	m.release(lists[m.topic], min(m.in.cfg.Drain, 10*time.Second))
}

// lost means that the group has given this process up, or cannot be reached. The owners have some time for what they
// have in hand: the brokers accept it if nobody has taken over, and answer that this process is fenced otherwise.
func (m *member) lost(_ context.Context, _ *kgo.Client, lists map[string][]int32) {
	if len(lists[m.topic]) == 0 {
		return
	}
	m.log.Warn("partitions lost: the group has not heard of this process in time, or its broker went away, so another "+
		"process may take over; what is known of them is forgotten, and this process joins again", "partitions", len(lists[m.topic]))
	m.release(lists[m.topic], lostTimeout)
}

const lostTimeout = 5 * time.Second

func (m *member) partitions() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.owners))
}

// release ends the owners of partitions: they commit what they have in hand, for which they are given some time.
func (m *member) release(partitions []int32, within time.Duration) {
	m.mu.Lock()
	var ending []*running
	for _, p := range partitions {
		if r := m.owners[p]; r != nil {
			r.stop()
			ending = append(ending, r)
		}
		delete(m.owners, p)
	}
	owned := m.owned()
	m.mu.Unlock()
	each := func(f func(*running)) func() {
		return func() {
			for _, r := range ending {
				f(r)
			}
		}
	}
	kill := each(func(r *running) { r.kill() })
	stage.CloseWithin(within, each(func(r *running) { <-r.done }), kill)
	kill()
	m.in.setOwned(owned)
}
