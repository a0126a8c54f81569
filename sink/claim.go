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

	epoch   uint16 // of the table, when it was claimed: its records' versions are raised by it
	marking bool   // a redo was under way then: each removal leaves a mark

	witness atomic.Pointer[witness] // as in millrace_offsets; nil: none

	connection uint64 // that millrace_offsets says writes it: whoever takes over ends it

	fill   *fill   // that has its records; nil: they are written in the order of the topic. Sink.mu guards it
	sorted [8]byte // highest raw epoch and offset that the fill has read; the loop's alone

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
	connection uint64 // that will write it
	stake      *stake // of its table, once it was asked for
	restarts   bool   // its position begins again
	lost       error  // not nil: why it was not claimed, a *PositionError, an *OwnerError or a *TableError
}

// claim makes claims ours, or says of each why not: it writes a new token into the row of each partition, which is
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
			if _, is := errors.AsType[*recreatedError](err); is {
				return err
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

// tryClaim is one transaction. It looks whose the tables are, and begins positions again that are of another topic. It
// takes the locks of millrace_owners, then of all rows of millrace_offsets, in the order of topic and partition, before
// it changes any of these.
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
	if err = s.stakes(ctx, conn, bids); err != nil {
		return err
	}
	open := slices.DeleteFunc(slices.Clone(bids), func(b *bid) bool { return b.lost != nil })
	if len(open) > 0 {
		if err = s.claimOpen(ctx, conn, open); err != nil {
			return err
		}
	}
	if _, err = conn.ExecContext(ctx, "COMMIT"); err != nil {
		return err
	}
	for _, b := range bids {
		b.claim.connection, b.polled = b.connection, b.next
		b.epoch, b.marking = b.stake.is.epoch, b.stake.is.marking
		if b.lost == nil {
			s.hold(b.stake)
		}
	}
	return nil
}

// claimOpen claims partitions of tables that are ours.
func (s *store) claimOpen(ctx context.Context, conn *sql.Conn, bids []*bid) error {
	starts := make([]rows.Values, len(bids))
	for i, b := range bids {
		starts[i] = b.start()
	}
	if _, err := conn.ExecContext(ctx, s.text(s.statements.NewOffsets, starts)); err != nil {
		return err
	}
	if err := s.readPlaces(ctx, conn, bids); err != nil {
		return err
	}
	var restarted, tokens []rows.Values
	for _, b := range bids {
		if s.holds(b); b.lost != nil {
			continue
		}
		if b.restarts {
			restarted = append(restarted, b.start())
		}
		if _, err := rand.Read(b.token[:]); err != nil {
			return err
		}
		tokens = append(tokens, number(b.place().Append(rows.Bytes, b.token[:]).Append(rows.Text, []byte(s.owner)), b.connection))
	}
	if len(restarted) > 0 {
		if _, err := conn.ExecContext(ctx, s.text(s.statements.RenewOffsets, restarted)); err != nil {
			return err
		}
	}
	if len(tokens) == 0 {
		return nil
	}
	_, err := conn.ExecContext(ctx, s.text(s.statements.ClaimOffsets, tokens))
	return err
}

// start are b's literals of a position at the start of its log.
func (b *bid) start() rows.Values {
	return number(b.place().Append(rows.Bytes, b.bounds.topicID[:]), b.bounds.start)
}

// begin has b begin at the start of its log. What was applied is of lower epochs than what comes, so high stays.
func (b *bid) begin() { b.restarts, b.lost, b.next = true, nil, b.bounds.start }

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
		var topicID, high, seen []byte
		if err := found.Scan(&tp.topic, &tp.partition, &topicID, &next, &high, &seen); err != nil {
			return err
		}
		b := byPlace[tp]
		b.next, b.high = next, [8]byte(high)
		b.witness.Store(parseWitness(seen, b.table))
		if !bytes.Equal(topicID, b.bounds.topicID[:]) {
			b.begin()
		}
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

// holds checks that the stored position is in the partition. If not, it is lost: going on anywhere else would lose
// records, or apply them twice.
func (s *store) holds(b *bid) {
	if b.next < b.bounds.start || b.next > b.bounds.end {
		b.lost = s.positionError(b.claim, b.next, b.bounds)
	}
}

// positionError says that a log does not have the next offset of a partition, and what to do.
func (s *store) positionError(c *claim, next int64, log bounds) *PositionError {
	e := &PositionError{Topic: c.topic, Partition: c.partition, Next: next, Start: log.start, End: log.end}
	if e.Remedy = s.command("recover", c.table.Stream); next > log.end {
		e.Remedy = s.command("recover", c.table.Stream, "--kafka-lost")
	}
	return e
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
