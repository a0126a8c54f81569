package sink

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// claim is one partition of a processed topic that this process owns, from its claim until it is revoked or
// another takes it over. Its position is moved by the writer that has the partition.
type claim struct {
	topic     string
	partition int32
	table     *rows.Table
	token     [16]byte
	next      int64   // the next offset, as in millrace_offsets
	high      [8]byte // highest raw epoch and offset applied, as there
	polled    int64   // the next offset to be polled; the loop's alone
	writer    int

	connection uint64 // that millrace_offsets says writes it: whoever takes over ends it

	recreated bool // its topic is another one than the rows came from

	revoked atomic.Bool // no longer ours
	reclaim time.Time   // when to claim it again, if it is revoked and the group still assigns it to us
}

func (c *claim) String() string { return fmt.Sprintf("%s[%d]", c.topic, c.partition) }

// compare is the order in which all sinks lock rows of millrace_offsets.
func (c *claim) compare(d *claim) int {
	return cmp.Or(cmp.Compare(c.topic, d.topic), cmp.Compare(c.partition, d.partition))
}

// bounds are what a claim needs to know of a partition of a processed topic.
type bounds struct {
	topicID    [16]byte
	start, end int64 // of its log
}

// bid is a claim that is to be made.
type bid struct {
	*claim
	bounds     bounds
	connection uint64         // that will write it
	lost       *PositionError // not nil: its position is not in its log, and it was not claimed
}

// claim makes claims ours, or says of each what is lost: it writes a new token into the row of each partition, which is
// made if it is missing, and reads where to go on. A transaction claims as many as a statement names. A frozen owner
// that holds a row is evicted.
func (s *store) claim(ctx context.Context, bids []*bid) error {
	slices.SortFunc(bids, func(a, b *bid) int { return a.compare(b.claim) })
	for group := range slices.Chunk(bids, placesAtOnce) {
		for {
			err := s.tryClaim(ctx, group)
			if err == nil {
				break
			}
			if s.dialect.Reason(err) != dialect.LockTimeout {
				return s.defect(err)
			}
			if err := s.evict(ctx, group, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// defect classifies err. A right that was given back counts for new sessions only, so those that are there are given
// up.
func (s *store) defect(err error) error {
	err = s.dialect.Classify(err)
	if _, ok := errors.AsType[*dialect.DefectError](err); ok {
		s.forget()
	}
	return err
}

// tryClaim is one transaction. It takes the locks of all rows, in the order of topic and partition, before it changes
// any.
func (s *store) tryClaim(ctx context.Context, bids []*bid) (err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, s.statements.Begin); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	var starts, tokens []rows.Values
	for _, b := range bids {
		starts = append(starts, number(b.place().Append(rows.Bytes, b.bounds.topicID[:]), b.bounds.start))
	}
	if _, err = conn.ExecContext(ctx, s.text(s.statements.NewOffsets, starts)); err != nil {
		return err
	}
	if err = s.readPlaces(ctx, conn, bids); err != nil {
		return err
	}
	for _, b := range bids {
		if b.lost = b.bounds.holds(b.claim); b.lost == nil {
			if _, err = rand.Read(b.token[:]); err != nil {
				return err
			}
			tokens = append(tokens, number(b.place().Append(rows.Bytes, b.token[:]).Append(rows.Text, []byte(s.owner)), b.connection))
		}
	}
	if len(tokens) > 0 {
		if _, err = conn.ExecContext(ctx, s.text(s.statements.ClaimOffsets, tokens)); err != nil {
			return err
		}
	}
	if _, err = conn.ExecContext(ctx, "COMMIT"); err != nil {
		return err
	}
	for _, b := range bids {
		b.claim.connection, b.polled = b.connection, b.next
	}
	return nil
}

// readPlaces locks the rows of partitions and reads where they stand.
func (s *store) readPlaces(ctx context.Context, conn *sql.Conn, bids []*bid) error {
	found, err := conn.QueryContext(ctx, s.text(s.statements.LockOffsets, places(bids)))
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }()
	byPlace := make(map[topicPartition]*bid, len(bids))
	for _, b := range bids {
		byPlace[topicPartition{b.topic, b.partition}] = b
	}
	for found.Next() {
		var tp topicPartition
		var next int64
		var topicID, high []byte
		if err := found.Scan(&tp.topic, &tp.partition, &topicID, &next, &high); err != nil {
			return err
		}
		b := byPlace[tp]
		b.next, b.recreated = next, !bytes.Equal(topicID, b.bounds.topicID[:])
		copy(b.high[:], high)
		delete(byPlace, tp)
	}
	if err := found.Err(); err != nil {
		return err
	}
	for tp := range byPlace {
		return fmt.Errorf("%s[%d] has no row in millrace_offsets", tp.topic, tp.partition)
	}
	return nil
}

// evict ends the connections of the owners of those rows that are locked, after a claim has waited for one of them:
// err.
func (s *store) evict(ctx context.Context, bids []*bid, err error) error {
	locked, failed := s.locked(ctx, bids)
	if failed != nil || len(locked) == 0 {
		return failed
	}
	holders, failed := s.holders(ctx, locked)
	if failed != nil {
		return failed
	}
	killed, failed := s.dialect.Evict(ctx, s.db, holders)
	if failed == nil && killed == 0 {
		return fmt.Errorf("claim %s: its row of millrace_offsets is locked, by none of our connections (its owner's is %v): %w", locked[0], holders, err)
	}
	return failed
}

// locked are those whose rows somebody else has locked now.
func (s *store) locked(ctx context.Context, bids []*bid) ([]*bid, error) {
	found, err := s.db.QueryContext(ctx, s.text(s.statements.FreeOffsets, places(bids)))
	if err != nil {
		return nil, err
	}
	free, err := scanPlaces(found)
	return slices.DeleteFunc(slices.Clone(bids), func(b *bid) bool { return free[topicPartition{b.topic, b.partition}] }), err
}

// holders reads, without waiting for locks, which connections the owners write with.
func (s *store) holders(ctx context.Context, bids []*bid) (connections []uint64, err error) {
	found, err := s.db.QueryContext(ctx, s.text(s.statements.OwnersOfOffsets, places(bids)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var id uint64
		if err := found.Scan(&id); err != nil {
			return nil, err
		}
		connections = append(connections, id)
	}
	return connections, found.Err()
}

func places(bids []*bid) []rows.Values {
	out := make([]rows.Values, len(bids))
	for i, b := range bids {
		out[i] = b.place()
	}
	return out
}

// scanPlaces reads topics and partitions, and closes found.
func scanPlaces(found *sql.Rows) (map[topicPartition]bool, error) {
	defer func() { _ = found.Close() }()
	out := map[topicPartition]bool{}
	for found.Next() {
		var tp topicPartition
		if err := found.Scan(&tp.topic, &tp.partition); err != nil {
			return nil, err
		}
		out[tp] = true
	}
	return out, found.Err()
}

func (s *store) text(m dialect.Many, list []rows.Values) string {
	return string(m.Append(nil, s.dialect, list))
}

// holds checks that the stored position is in the partition.
func (b bounds) holds(c *claim) *PositionError {
	if !c.recreated && c.next >= b.start && c.next <= b.end {
		return nil
	}
	return &PositionError{Topic: c.topic, Partition: c.partition, Next: c.next, Start: b.start, End: b.end, Recreated: c.recreated}
}

// release gives claims up, if they are still ours, so that nobody has to wait for us.
func (s *store) release(ctx context.Context, claims []*claim) error {
	slices.SortFunc(claims, (*claim).compare)
	for group := range slices.Chunk(claims, placesAtOnce) {
		list := make([]rows.Values, len(group))
		for i, c := range group {
			list[i] = c.place().Append(rows.Bytes, c.token[:])
		}
		if _, err := s.db.ExecContext(ctx, s.text(s.statements.ReleaseOffsets, list)); err != nil {
			return err
		}
	}
	return nil
}
