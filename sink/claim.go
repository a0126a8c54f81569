package sink

import (
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

	revoked atomic.Bool // no longer ours
	reclaim time.Time   // when to claim it again, if it is revoked and the group still assigns it to us
}

func (c *claim) String() string { return fmt.Sprintf("%s[%d]", c.topic, c.partition) }

// bounds are what a claim needs to know of a partition of a processed topic.
type bounds struct {
	topicID    [16]byte
	start, end int64 // of its log
}

// claim makes c ours: it writes a new token into the row of c's partition, which is made if it is missing, and reads
// where to go on. connection is the id of the connection that will write c. A frozen owner that holds the row is
// evicted.
func (s *store) claim(ctx context.Context, c *claim, b bounds, connection uint64) error {
	if _, err := rand.Read(c.token[:]); err != nil {
		return err
	}
	for {
		err := s.tryClaim(ctx, c, b, connection)
		if err == nil {
			c.connection = connection
		}
		if err == nil || s.dialect.Reason(err) != dialect.LockTimeout {
			return err
		}
		holder, failed := s.holder(ctx, c)
		if failed != nil {
			return failed
		}
		killed, failed := s.dialect.Evict(ctx, s.db, holder)
		if failed != nil {
			return failed
		}
		if killed == 0 {
			return fmt.Errorf("claim %s: its row of millrace_offsets is locked, by none of our connections (its owner's is %v): %w", c, holder, err)
		}
	}
}

// holder reads, without waiting for locks, which connection the owner writes with.
func (s *store) holder(ctx context.Context, c *claim) ([]uint64, error) {
	var id sql.NullInt64
	err := s.db.QueryRowContext(ctx, "SELECT connection_id FROM millrace_offsets WHERE topic = ? AND part = ?", c.topic, c.partition).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) || !id.Valid {
		return nil, nil
	}
	return []uint64{uint64(id.Int64)}, err
}

func (s *store) tryClaim(ctx context.Context, c *claim, b bounds, connection uint64) (err error) {
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
	_, err = conn.ExecContext(ctx, s.statements.NewOffset, c.topic, c.partition, b.topicID[:], b.start, make([]byte, 8))
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, s.statements.Claim, c.token[:], s.owner, connection, c.topic, c.partition)
	if err != nil {
		return err
	}
	var topicID, high []byte
	if err := conn.QueryRowContext(ctx, "SELECT topic_id, next_offset, high FROM millrace_offsets WHERE topic = ? AND part = ?", c.topic, c.partition).
		Scan(&topicID, &c.next, &high); err != nil {
		return err
	}
	if err := b.holds(c, topicID); err != nil {
		return err
	}
	copy(c.high[:], high)
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// holds checks that the stored position is in the partition.
func (b bounds) holds(c *claim, topicID []byte) error {
	e := &PositionError{Topic: c.topic, Partition: c.partition, Next: c.next, Start: b.start, End: b.end}
	if !slices.Equal(topicID, b.topicID[:]) {
		e.Recreated = true
		return e
	}
	if c.next < b.start || c.next > b.end {
		return e
	}
	return nil
}

// release gives claims up, if they are still ours, so that nobody has to wait for us.
func (s *store) release(ctx context.Context, claims []*claim) error {
	var errs []error
	for _, c := range claims {
		_, err := s.db.ExecContext(ctx, "UPDATE millrace_offsets SET owner = NULL, connection_id = NULL WHERE topic = ? AND part = ? AND owner = ?",
			c.topic, c.partition, c.token[:])
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
