package sink

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// lostNotice is the kind of the notice that processors wait for positions that this sink cannot give them.
const lostNotice = "positions_lost"

// errPastEnd says that the raw topic lacks what was applied.
var errPastEnd = errors.New("the raw topic does not hold what the table has")

// answer gives processors positions to go on from, where they have lost theirs: all that is in the table was processed,
// so they go on after it. What they process again has the versions that it had, and changes nothing. Of several sinks
// one answers.
func (s *Sink) answer(ctx context.Context, topic string) {
	stream := s.tables.of(topic).Stream
	lost := s.decided(topic).Lost
	if lost == nil {
		s.notices.Clear(stream, lostNotice)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	declared := false
	now, err := control.Change(ctx, s.controlConfig(), stream, func(of *control.Stream) error {
		if declared = false; of.Lost == nil {
			return control.ErrUnchanged
		}
		from, err := s.positionsFor(ctx, topic, of)
		if err != nil {
			return err
		}
		of.Run = control.Run{Number: of.Run.Number + 1, From: from, Why: of.Lost.Why, At: time.Now().UTC().Truncate(time.Second)}
		of.Lost, declared = nil, true
		return nil
	})
	switch {
	case errors.Is(err, errPastEnd):
		s.notices.Raise(stream, lostNotice, fmt.Sprintf("the processors have lost their positions (%s), and they are not given any: %v. "+
			"Kafka was restored from a backup that is older than the database, or lost its end: %s", lost.Why, err, s.store.command("recover", stream, "--kafka-lost")))
	case err != nil && ctx.Err() == nil:
		s.env.Log.Warn("the processors have lost their positions; no others could be given to them yet", "stream", stream, "err", err)
	case err == nil && declared:
		s.env.Log.Warn("the processors had lost their positions: they continue after what is in the table", "stream", stream,
			"lost", lost.Why, "run", now.Run.Number, "from", now.Run.From)
	}
}

// tailEvery is how often it is looked whether a raw topic holds what was applied.
const tailEvery = time.Minute

// lostTail says that the current raw topic has lost its end: it does not hold what was applied, and its offsets are
// given to other records, which would lose against the rows. nil: that is not so, or not known.
func (s *Sink) lostTail(ctx context.Context, topic string) error {
	of := s.decided(topic)
	n := len(of.Epochs)
	if n == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	stream := s.tables.of(topic).Stream
	raw := topics.RawOf(s.pipeline, stream)
	details, err := s.adm.ListTopics(ctx, raw, topic)
	if err != nil {
		return nil // not known
	}
	_, is, err := s.store.mineNow(ctx, s.store.db, s.tables.of(topic))
	if err != nil || is.topicID != [16]byte(details[topic].ID) {
		return nil // not known, or the processed topic was recreated, too: the next claim sees to it
	}
	if id := details[raw].ID; hex.EncodeToString(id[:]) != of.Epochs[n-1].RawTopicID {
		return nil // not known, or it was recreated and has no epoch yet
	}
	if _, err := s.positionsFor(ctx, topic, of); errors.Is(err, errPastEnd) {
		return s.pastEnd(topic, err)
	}
	return nil
}

// positionsFor are what processors go on from, by partition of the current raw topic.
func (s *Sink) positionsFor(ctx context.Context, topic string, of *control.Stream) (map[int32]int64, error) {
	t := s.tables.of(topic)
	from, err := s.store.applied(ctx, topic, t, of)
	if err != nil {
		return nil, s.store.dialect.Classify(err)
	}
	ends, err := admin.Ends(ctx, s.adm, topics.RawOf(s.pipeline, t.Stream))
	if err != nil {
		return nil, err
	}
	for partition, next := range from {
		if end, ok := ends[partition]; !ok || next > end {
			return nil, fmt.Errorf("%w: of partition %d it ends at offset %d, and offset %d was applied", errPastEnd, partition, end, next-1)
		}
	}
	return from, nil
}

// applied says, by partition of the current raw topic, from where on its records were not applied. A partition of which
// none is known to be is left out.
func (s *store) applied(ctx context.Context, topic string, t *rows.Table, of *control.Stream) (map[int32]int64, error) {
	var epoch uint16 // of the raw topic
	if n := len(of.Epochs); n > 0 {
		epoch = of.Epochs[n-1].Number
	}
	_, is, err := s.mineNow(ctx, s.db, t)
	if err != nil {
		return nil, err
	}
	at, err := s.positions(ctx, topic)
	if err != nil {
		return nil, err
	}
	from := map[int32]int64{}
	for partition, p := range at {
		if p.Applied && p.TopicID == is.topicID && p.Epoch == is.epoch+epoch {
			from[partition] = p.Offset + 1
		}
	}
	return from, nil
}

// querier is a pool, or a connection with its transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// ownedNow reads the row of a table in millrace_owners; the zero value if there is none.
func (s *store) ownedNow(ctx context.Context, db querier, table string) (is owned, err error) {
	found, err := db.QueryContext(ctx, "SELECT pipeline, stream, topic_id, epoch, marking > 0 FROM millrace_owners WHERE table_name = ?", table)
	if err != nil {
		return is, err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var id []byte
		if err := found.Scan(&is.pipeline, &is.stream, &id, &is.epoch, &is.marking); err != nil {
			return is, err
		}
		copy(is.topicID[:], id)
	}
	return is, found.Err()
}
