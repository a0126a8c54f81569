package sink

import (
	"bytes"
	"context"
	"fmt"
)

// Positions returns the next offsets in the database, by processed topic and partition, of the streams of this sink:
// what is below them is in the tables, whoever wrote it. Those of a topic of which this process has claimed nothing are
// left out, and those that are of a topic with another id: they begin again. It opens a connection of its own, and may
// be called concurrently with Run; before the first Run of any sink the error is that the table is not there.
func (s *Sink) Positions(ctx context.Context) (map[string]map[int32]int64, error) {
	db, err := s.store.dialect.Open(writerLockWait)
	if err != nil {
		return nil, fmt.Errorf("sink: positions: %w", err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(ctx, "SELECT topic, part, topic_id, next_offset FROM millrace_offsets")
	if err != nil {
		return nil, fmt.Errorf("sink: positions: %w", err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]map[int32]int64{}
	for rows.Next() {
		var topic string
		var partition int32
		var next int64
		var id []byte
		if err := rows.Scan(&topic, &partition, &id, &next); err != nil {
			return nil, fmt.Errorf("sink: positions: %w", err)
		}
		if by := s.store.claimedBy(topic); s.tables.of(topic) == nil || !by.sure || !bytes.Equal(id, by.topicID[:]) {
			continue
		}
		if out[topic] == nil {
			out[topic] = map[int32]int64{}
		}
		out[topic][partition] = next
	}
	return out, rows.Err()
}
