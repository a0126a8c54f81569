package sink

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics/control"
)

// followEvery is the time between two looks at what was decided about the streams.
const followEvery = 2500 * time.Millisecond

// followTimeout bounds one look, and one answer.
const followTimeout = 20 * time.Second

// pausedNotice is the kind of the notice that a stream is paused.
const pausedNotice = "paused"

// pausedError says that an operator has paused a stream.
type pausedError struct {
	control.Pause
	remedy string
}

func (e *pausedError) Error() string {
	text := "paused since " + e.At.UTC().Format(time.RFC3339)
	if e.By != "" {
		text += " by " + e.By
	}
	if e.Why != "" {
		text += ": " + e.Why
	}
	return text + "; `" + e.remedy + "` lets it continue"
}

// errDropped has a stream wait for ever: its line was dropped, and others of it are pipelines of their own.
var errDropped = errors.New("its line was dropped")

// controlConfig is how this process decides and reads.
func (s *Sink) controlConfig() control.Config {
	return control.Config{Pipeline: s.pipeline.Name, Who: s.env.Instance, Client: s.env.Kafka}
}

// follow heeds what is decided about the streams until ctx is cancelled.
func (s *Sink) follow(ctx context.Context) {
	var next time.Time // when to look at the ends of raw topics
	for stage.Sleep(ctx, followEvery) == nil {
		if err := s.refresh(ctx); err != nil {
			if ctx.Err() == nil {
				s.waits.On("Kafka", "control", err)
			}
			continue
		}
		s.waits.Done("Kafka", "control")
		for topic := range s.tables.all() {
			s.heed(ctx, topic)
		}
		if time.Now().Before(next) {
			continue
		}
		for topic := range s.tables.all() {
			s.lookAtTail(ctx, topic)
		}
		next = time.Now().Add(tailEvery)
	}
}

func (s *Sink) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	_, err := s.view.Refresh(ctx)
	return err
}

// decided is what is decided about the stream of a topic, as far as it was read.
func (s *Sink) decided(topic string) *control.Stream { return s.view.Stream(s.tables.of(topic).Stream) }

// paused says that the stream of a topic is paused, or returns nil.
func (s *Sink) paused(topic string) error {
	of := s.decided(topic)
	if of.Without() {
		return errDropped
	}
	if !of.IsPaused(stageName) {
		return nil
	}
	return &pausedError{of.Paused[stageName], s.store.command("resume", s.tables.of(topic).Stream)}
}

// pause parks those of the streams that are paused, and has those looked at that are not any more. s.mu is held.
func (s *Sink) pause(topics ...string) {
	for _, topic := range topics {
		waits, _ := s.parking.has(topic)
		switch why := s.paused(topic); {
		case why != nil && !waits:
			s.park(topic, why)
		case why == nil && waits && s.notices.Has(s.tables.of(topic).Stream, pausedNotice):
			s.parking.soon(topic)
		}
	}
}

// lookAtTail parks a stream whose raw topic does not hold what was applied.
func (s *Sink) lookAtTail(ctx context.Context, topic string) {
	if waits, _ := s.parking.has(topic); waits {
		return
	}
	if err := s.lostTail(ctx, topic); err != nil {
		s.mu.RLock()
		s.park(topic, err)
		s.mu.RUnlock()
	}
}

// heed does what is decided about one stream.
func (s *Sink) heed(ctx context.Context, topic string) {
	s.mu.RLock()
	s.pause(topic)
	s.mu.RUnlock()
	s.answer(ctx, topic)
	s.countOld(ctx, topic)
}

// command is a command on this pipeline, for people: its name, and what comes after the file.
func (s *store) command(name string, rest ...string) string {
	file := s.file
	if file == "" {
		file = "FILE"
	}
	return strings.Join(append([]string{"millrace", name, file}, rest...), " ")
}
