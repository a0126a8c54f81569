package sink

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/sink/dialect"
)

// parking holds the streams that wait for an operator, each by itself, by processed topic: their table cannot be
// written, or the topic does not have their position. Nothing is fetched for them, their claims count as revoked, and
// the others go on.
//
//	park    a writer, a claim or the watch finds what is wrong: it is told, and fetching pauses
//	tend    looks at the table again and again, until nothing is wrong with it: the stream is due
//	reclaim claims the partitions of a stream that is due, which checks their positions, and fetching goes on
type parking struct {
	// turn is held while a stream begins to wait or goes on: fetching, its claims and what is told of it turn together.
	// It is taken with Sink.mu held, and before mu.
	turn    sync.Mutex
	mu      sync.Mutex
	streams map[string]*parked
}

// parked is one stream that waits, or has a moment ago.
type parked struct {
	wait *backoff.ExponentialBackOff
	next time.Time // when to look again
	due  bool      // nothing is in its way
	left time.Time // when it went on; zero: it waits
}

// backs is how long a stream has to go on for its waits to be short again: what is in its way may show only when it is
// written.
const backs = time.Minute

// at notes that a topic's stream waits, from now.
func (p *parking) at(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.streams == nil {
		p.streams = map[string]*parked{}
	}
	x := p.streams[topic]
	if x == nil || !x.left.IsZero() && time.Since(x.left) > backs {
		x = &parked{wait: stage.NewBackoff()}
		p.streams[topic] = x
	}
	x.due, x.left, x.next = false, time.Time{}, time.Now().Add(x.wait.NextBackOff())
}

// has reports whether a topic's stream waits, and whether nothing is in its way any more.
func (p *parking) has(topic string) (waits, due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.streams[topic]
	waits = x != nil && x.left.IsZero()
	return waits, waits && x.due
}

// topics are those whose streams wait and are due, or, if due is false, those to look at again.
func (p *parking) topics(due bool) (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, x := range p.streams {
		if x.left.IsZero() && x.due == due && (due || !time.Now().Before(x.next)) {
			out = append(out, topic)
		}
	}
	return out
}

// soon has a stream that waits looked at without further delay.
func (p *parking) soon(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.streams[topic]; x != nil {
		x.next = time.Time{}
	}
}

func (p *parking) makeDue(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.streams[topic]; x != nil && x.left.IsZero() {
		x.due = true
	}
}

func (p *parking) leave(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.streams[topic]; x != nil {
		x.left = time.Now()
	}
}

// park has a stream wait, tells why, and lets its batches go: what is not written is fetched again. s.mu is held.
func (s *Sink) park(topic string, why error) {
	s.parking.turn.Lock()
	defer s.parking.turn.Unlock()
	s.parking.at(topic)
	for _, c := range s.claims {
		if c.topic == topic {
			c.revoked.Store(true)
		}
	}
	if s.client != nil {
		s.client.PauseFetchTopics(topic)
	}
	s.tellParked(topic, why)
}

// tellParked says why a stream waits: for an operator, or because one has paused it, which is no fault.
func (s *Sink) tellParked(topic string, why error) {
	stream := s.tables.of(topic).Stream
	if errors.Is(why, errNewer) || isSwap(why) {
		return // for a moment, and nothing is wrong
	}
	if errors.Is(why, errDropped) {
		s.waits.Done(s.parkedName(topic), "")
		s.notices.Clear(stream, pausedNotice)
		return
	}
	if pause, ok := errors.AsType[*pausedError](why); ok {
		s.notices.Raise(stream, pausedNotice, pause.Error())
		s.waits.Done(s.parkedName(topic), "")
		return
	}
	s.waits.On(s.parkedName(topic), "", why)
	s.notices.Clear(stream, pausedNotice)
}

func (s *Sink) parkedName(topic string) string { return "stream " + s.tables.of(topic).Stream }

// unpark has a due stream go on, once all its claims are ours again. s.mu is held.
func (s *Sink) unpark(topic string) {
	s.parking.turn.Lock()
	defer s.parking.turn.Unlock()
	if _, due := s.parking.has(topic); !due {
		return // it was parked again meanwhile
	}
	for _, c := range s.claims {
		if c.topic == topic && c.revoked.Load() {
			return
		}
	}
	s.parking.leave(topic)
	s.client.ResumeFetchTopics(topic)
	s.waits.Done(s.parkedName(topic), "")
	s.notices.Clear(s.tables.of(topic).Stream, pausedNotice)
}

// lookTimeout bounds a look at a table between attempts: with an attempt and a search for refused rows, it is over
// before the group stops waiting for us.
const lookTimeout = 10 * time.Second

// parkTable parks the stream whose table is what err is about, if it is the table that is in the way, and not a row.
func (s *Sink) parkTable(ctx context.Context, err error, again bool) bool {
	fault, ok := errors.AsType[*faultError](err)
	if !ok {
		return false
	}
	defect, isDefect := errors.AsType[*dialect.DefectError](err)
	_, isRefused := errors.AsType[*dialect.RefusedError](err)
	switch locked := s.store.dialect.Reason(err) == dialect.LockTimeout; {
	case isDefect && defect.Server, !isDefect && !isRefused && (!locked || !again):
		return false
	}
	topic := s.topicOf(fault)
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	s.store.forget()
	looked := s.store.prepareTable(ctx, topic, fault.table)
	if isSwap(looked) {
		s.park(topic, looked)
		return true
	}
	if misfit, ok := errors.AsType[*TableError](looked); ok {
		s.park(topic, misfit)
		return true
	}
	if isDefect { // a trigger, say, which only a row meets
		s.park(topic, &TableError{Table: fault.table.Name, Err: err})
	}
	return isDefect
}

func (s *Sink) topicOf(fault *faultError) string {
	for topic, t := range s.tables.all() {
		if t == fault.table {
			return topic
		}
	}
	return ""
}

// watchEvery is how often the tables that are written are looked at: whether they are the same ones.
const watchEvery = 5 * time.Second

// tend looks after the tables until ctx is cancelled: those of streams that wait, and, now and then, whether another
// was made in the place of one.
func (s *Sink) tend(ctx context.Context) {
	made := map[string]string{}
	for next := time.Now(); stage.Sleep(ctx, 200*time.Millisecond) == nil; {
		for topic := range s.tables.all() {
			s.define(topic)
		}
		for _, topic := range s.parking.topics(false) {
			s.lookAgain(ctx, topic)
		}
		if time.Now().After(next) {
			s.watch(ctx, made)
			next = time.Now().Add(watchEvery)
		}
	}
}

// lookAgain looks whether something is in the way of a stream that waits.
func (s *Sink) lookAgain(ctx context.Context, topic string) {
	err := s.inTheWay(ctx, topic)
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		s.parking.makeDue(topic)
		return
	}
	s.parking.at(topic)
	if isSwap(err) {
		s.lookAtSwaps(ctx, time.Second)
		s.parking.soon(topic)
	}
	s.tellParked(topic, err)
}

// inTheWay is what a stream has to wait for: nil if it can go on.
func (s *Sink) inTheWay(ctx context.Context, topic string) error {
	if why := s.paused(topic); why != nil {
		return why
	}
	if err := s.learn(ctx, topic); err != nil {
		return err
	}
	s.define(topic)
	if err := errors.Join(s.defined[topic].err, s.lostTail(ctx, topic)); err != nil {
		return err
	}
	s.store.forget()
	return s.store.prepareTable(ctx, topic, s.tables.of(topic))
}

// watch compares when the tables were made with what it found before, and checks those that differ; of the others it
// looks for a row that must be there. An error is for the writers to meet.
func (s *Sink) watch(ctx context.Context, before map[string]string) {
	all := s.tables.all()
	names := make([]string, 0, len(all))
	for _, t := range all {
		names = append(names, t.Name)
	}
	made, err := s.store.dialect.Made(ctx, s.store.db, names)
	if err != nil {
		return
	}
	witnesses := s.someWitnesses()
	for topic, t := range all {
		now, there := made[strings.ToLower(t.Name)]
		was, known := before[topic]
		before[topic] = now
		if waits, _ := s.parking.has(topic); waits {
			continue
		}
		if there && (!known || was == now) {
			err = s.store.hear(ctx, topic, t, witnesses[topic])
		} else {
			err = s.store.prepareTable(ctx, topic, t)
		}
		misfit, ok := errors.AsType[*TableError](err)
		if ok {
			err = cmp.Or(s.store.swapInTheWay(ctx, t), error(misfit)) // of a table that has another name by now
		}
		if ok || isSwap(err) {
			s.mu.RLock()
			s.park(topic, err)
			s.mu.RUnlock()
		}
	}
	s.lookAtSwaps(ctx, watchEvery)
}
