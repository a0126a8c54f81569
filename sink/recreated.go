package sink

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// A processed topic that was recreated lacks what the one before held and its table had not taken. So before a table
// goes over to it, processors are given positions: they go on after what is in the table, in another run, and whoever
// still works in the run before is fenced. Only then the owner of the table and its epoch change, and the positions
// begin again. A death between the two leaves the run, which says for which topic it was declared.

// recreatedError ends a claim on a table whose processed topic is another one, and for which no run was declared yet.
type recreatedError struct {
	topic string
	id    [16]byte // of the topic that is there now
}

func (e *recreatedError) Error() string {
	return "the topic " + e.topic + " was recreated, and processors do not know yet from where they continue"
}

// claim makes claims, and declares where processors go on for those topics that were recreated. s.mu is held.
func (s *Sink) claim(ctx context.Context, bids []*bid) error {
	for {
		err := s.store.claim(ctx, bids)
		found, ok := errors.AsType[*recreatedError](err)
		if !ok {
			return err
		}
		if err := s.declareFor(ctx, found); err != nil {
			return fmt.Errorf("%w: %w", found, err)
		}
		s.store.declare(found)
	}
}

// declareFor declares a run for a processed topic that was recreated, unless another sink has, and fences the
// processors.
func (s *Sink) declareFor(ctx context.Context, e *recreatedError) error {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	stream, id := s.tables.of(e.topic).Stream, hex.EncodeToString(e.id[:])
	declared, restarted := false, false
	now, err := control.Change(ctx, s.controlConfig(), stream, func(of *control.Stream) error {
		if declared = false; of.Run.ProcessedTopicID == id {
			return control.ErrUnchanged
		}
		from, err := s.goOnFrom(ctx, e.topic, of)
		if err != nil {
			return err
		}
		of.Run = control.Run{
			Number: of.Run.Number + 1, From: from, Why: "the processed topic was recreated", At: time.Now().UTC().Truncate(time.Second), ProcessedTopicID: id,
		}
		of.Lost, declared = nil, true
		restarted = of.Restart(s.env.Instance)
		return nil
	})
	if err != nil {
		return err
	}
	if declared {
		s.env.Log.Warn("the processed topic was recreated: processors continue after what is in the table", "stream", stream, "topic", e.topic,
			"run", now.Run.Number, "from", now.Run.From, "replay_restarts", restarted)
	}
	_, err = admin.Fence(ctx, s.client, topics.ProcessorTransactionalIDs(s.pipeline.Name))
	return err
}

// goOnFrom are the positions for a run. They are none, so that processing begins at the start, where the current raw
// topic may not be the one of what was applied: control does not know it, or got to know it beside another processed
// topic than the one that the rows came by, as where all topics were recreated.
func (s *Sink) goOnFrom(ctx context.Context, topic string, of *control.Stream) (map[int32]int64, error) {
	raw := topics.RawOf(s.pipeline, s.tables.of(topic).Stream)
	details, err := s.adm.ListTopics(kadm.WithAuthorizedOps(ctx), raw) // which is not answered from the client's cache
	if err != nil {
		return nil, err
	}
	id := details[raw].ID
	n := len(of.Epochs)
	if n == 0 || of.Epochs[n-1].RawTopicID != hex.EncodeToString(id[:]) {
		return nil, nil //nolint:nilnil // as the comment says
	}
	_, is, err := s.store.mineNow(ctx, s.store.db, s.tables.of(topic))
	if err != nil {
		return nil, s.store.dialect.Classify(err)
	}
	if by := hex.EncodeToString(is.topicID[:]); by != of.Epochs[n-1].ProcessedTopicID && by != of.Run.ProcessedTopicID {
		return nil, nil //nolint:nilnil // as the comment says
	}
	from, err := s.positionsFor(ctx, topic, of)
	// it has lost its end: what is left of it is processed again, in the table's next epoch
	if errors.Is(err, errPastEnd) {
		return nil, nil //nolint:nilnil // as the comment says
	}
	return from, err
}

// pastEnd says what to do about a raw topic that lacks what was applied.
func (s *Sink) pastEnd(topic string, err error) error {
	return fmt.Errorf("%w: Kafka lost its end, or came back from a backup that is older than the database. What puts it right: %s",
		err, s.store.command("recover", s.tables.of(topic).Stream, "--kafka-lost"))
}

// declare notes that a run was declared for a topic.
func (s *store) declare(e *recreatedError) {
	s.holding.Lock()
	defer s.holding.Unlock()
	s.declared[e.topic] = e.id
}

// undeclared says that a run is to be declared before a table goes over to another topic; nil: it was.
func (s *store) undeclared(st *stake) error {
	s.holding.Lock()
	defer s.holding.Unlock()
	if s.declared == nil || s.declared[st.topic] == st.topicID {
		return nil
	}
	return &recreatedError{st.topic, st.topicID}
}
