package sink

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/internal/mutant"
)

// store is the database: schema, claims and marks. What writers do is in transaction.go.
type store struct {
	dialect dialect
	cfg     Config
	owner   string  // owner_name of claims
	db      *sql.DB // for everything but writing: schema, claims, marks that are old
	writers *sql.DB // for the writers, which keep their connections
	bytes   int     // of a statement, at most
}

// open opens the pools; it makes no connection.
func (s *store) open() (err error) {
	if s.db, err = s.dialect.open(s.cfg.LockTimeout); err != nil {
		return err
	}
	s.writers, err = s.dialect.open(writerLockWait)
	return err
}

func (s *store) close() {
	for _, db := range []*sql.DB{s.db, s.writers} {
		if db != nil {
			_ = db.Close()
		}
	}
}

// prepare makes the tables that are missing and checks those that are there. No writer's connection runs DDL.
func (s *store) prepare(ctx context.Context, tables []*table) error {
	if err := s.db.PingContext(ctx); err != nil {
		return classify(err)
	}
	n, err := s.dialect.inspect(ctx, s.db)
	if err != nil {
		return err
	}
	s.bytes = min(n, s.cfg.StatementBytes)
	for _, statement := range s.dialect.createOwn() {
		if _, err := s.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create millrace's own tables: %w", classify(err))
		}
	}
	var errs []error
	for _, t := range tables {
		t.bulk = s.dialect.bulk(t)
		if _, err := s.db.ExecContext(ctx, s.dialect.createTable(t)); err != nil {
			return fmt.Errorf("create table %s: %w", t.name, classify(err))
		}
		problems, err := s.dialect.check(ctx, s.db, t)
		if err != nil {
			return fmt.Errorf("look at table %s: %w", t.name, err)
		}
		if len(problems) > 0 {
			errs = append(errs, &TableError{t.name, problems})
		}
	}
	return errors.Join(errs...)
}

// partition is what a claim needs to know of a partition of a processed topic.
type partition struct {
	topicID    [16]byte
	start, end int64 // of its log
}

// claim makes c ours: it writes a new token into the row of c's partition, which is made if it is missing, and reads where to go
// on. connection is the id of the connection that will write c. A frozen owner that holds the row is evicted.
func (s *store) claim(ctx context.Context, c *claim, p partition, connection uint64) error {
	if _, err := rand.Read(c.token[:]); err != nil {
		return err
	}
	for {
		err := s.tryClaim(ctx, c, p, connection)
		if err == nil {
			c.connection = connection
		}
		if err == nil || !s.dialect.locked(err) {
			return err
		}
		holder, failed := s.holder(ctx, c)
		if failed != nil {
			return failed
		}
		if mutant.Off(mutant.Fencing) {
			continue
		}
		killed, failed := s.dialect.evict(ctx, s.db, holder)
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
	err := s.db.QueryRowContext(ctx, "SELECT connection_id FROM millrace_offsets WHERE topic = ? AND part = ?", c.topic, c.part).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) || !id.Valid {
		return nil, nil
	}
	return []uint64{uint64(id.Int64)}, err
}

func (s *store) tryClaim(ctx context.Context, c *claim, p partition, connection uint64) (err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, s.dialect.begin()); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	now := s.dialect.now()
	_, err = conn.ExecContext(ctx, "INSERT INTO millrace_offsets (topic, part, topic_id, next_offset, high, updated_at) VALUES (?, ?, ?, ?, ?, "+now+")"+
		s.dialect.ignoring("part"), c.topic, c.part, p.topicID[:], p.start, make([]byte, 8))
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "UPDATE millrace_offsets SET owner = ?, owner_name = ?, connection_id = ?, updated_at = "+now+" WHERE topic = ? AND part = ?",
		c.token[:], s.owner, connection, c.topic, c.part)
	if err != nil {
		return err
	}
	var topicID, high []byte
	if err := conn.QueryRowContext(ctx, "SELECT topic_id, next_offset, high FROM millrace_offsets WHERE topic = ? AND part = ?", c.topic, c.part).
		Scan(&topicID, &c.next, &high); err != nil {
		return err
	}
	if err := p.holds(c, topicID); err != nil {
		return err
	}
	copy(c.high[:], high)
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// holds checks that the stored position is in the partition.
func (p partition) holds(c *claim, topicID []byte) error {
	e := &PositionError{Topic: c.topic, Partition: c.part, Next: c.next, Start: p.start, End: p.end}
	if !slices.Equal(topicID, p.topicID[:]) {
		e.Recreated = true
		return e
	}
	if c.next < p.start || c.next > p.end {
		return e
	}
	return nil
}

// release gives claims up, if they are still ours, so that nobody has to wait for us.
func (s *store) release(ctx context.Context, claims []*claim) error {
	var errs []error
	for _, c := range claims {
		_, err := s.db.ExecContext(ctx, "UPDATE millrace_offsets SET owner = NULL, connection_id = NULL WHERE topic = ? AND part = ? AND owner = ?",
			c.topic, c.part, c.token[:])
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// prune removes some of the marks that are older than their retention. It returns how many.
func (s *store) prune(ctx context.Context) (removed int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	before := time.Now().UTC().Add(-s.cfg.MarkRetention).Format("2006-01-02 15:04:05.000000")
	query := "DELETE FROM millrace_marks WHERE marked_at < ? LIMIT 2000"
	if s.dialect.name() == "SQLite" { // whose DELETE has no LIMIT
		query = "DELETE FROM millrace_marks WHERE (stream, generation, raw_key) IN (SELECT stream, generation, raw_key FROM millrace_marks WHERE marked_at < ? LIMIT 2000)"
	}
	result, err := s.db.ExecContext(ctx, query, before)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
