package sink

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics/control"
)

// oldNotice is the kind of the notice that a table has rows that another logic made.
const oldNotice = "rows_of_old_logic"

// counted is for which state of a stream the rows of older logic were counted. It is the follower's alone.
type counted struct {
	live uint16
	redo bool // during one nothing is counted: rows go all the time
}

// countOld counts, once for each generation that has another logic than the one before, and after each redo, the rows
// that older generations made, and tells them. The sink that has the first partition does.
func (s *Sink) countOld(ctx context.Context, topic string) {
	of, t := s.decided(topic), s.tables.of(topic)
	live := of.Generation(of.Live)
	if live == nil || live.Kind != control.Other || !s.has(topicPartition{topic, 0}) {
		s.notices.Clear(t.Stream, oldNotice)
		delete(s.counted, topic)
		return
	}
	is := counted{of.Live, of.Redo != nil}
	was, known := s.counted[topic]
	if known && was == is {
		return
	}
	s.counted[topic] = is
	if is.redo && known && was.live == is.live {
		return // it is told
	}
	n, err := s.store.older(ctx, t, of.Live)
	if err != nil && ctx.Err() != nil {
		return
	}
	number := strconv.FormatInt(n, 10)
	if err != nil {
		s.env.Log.Debug("rows of older logic not counted", "stream", t.Stream, "err", err)
		number = "an unknown number of"
	}
	switch after := known && was.redo && !is.redo; {
	case err == nil && n == 0 || err != nil && after:
		s.notices.Clear(t.Stream, oldNotice)
	case after:
		s.notices.Raise(t.Stream, oldNotice, fmt.Sprintf("after the redo %s rows of the table %s are still of older logic: "+
			"the redo was not of all records, or the raw topic does not hold theirs any more", number, t.Name))
	default:
		s.notices.Raise(t.Stream, oldNotice, fmt.Sprintf("%s rows of the table %s were made by older logic than generation %d, which is live. "+
			"What would change: %s; to change it: %s", number, t.Name, of.Live, s.store.command("replay", t.Stream, "--dry-run"), s.store.command("replay", t.Stream)))
	}
}

// has reports whether a partition is ours.
func (s *Sink) has(tp topicPartition) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.claims[tp]
	return c != nil && !c.revoked.Load()
}

// older counts the rows of generations below one. It reads the whole table, without locks.
func (s *store) older(ctx context.Context, t *rows.Table, generation uint16) (n int64, err error) {
	query := "SELECT COUNT(*) FROM " + dialect.Quote(t.Name) + " WHERE LENGTH(" + rows.VersionColumn + ") >= 18 AND SUBSTR(" + rows.VersionColumn + ", 17, 2) < "
	limit := s.dialect.AppendLiteral(nil, rows.Value{Form: rows.Bytes, Bytes: binary.BigEndian.AppendUint16(nil, generation)})
	err = s.db.QueryRowContext(ctx, query+string(limit)).Scan(&n)
	return n, err
}
