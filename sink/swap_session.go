package sink

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/sink/dialect"
)

// disconnect gives up the connection that drives, and the lock.
func (s *Swapper) disconnect() {
	if s.conn == nil {
		return
	}
	if s.release != nil {
		s.release()
	}
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn }) // its settings are not for others
	_ = s.conn.Close()
	s.conn = nil
}

// Lock makes the connection that drives the swap. If a swap is under way without a driver, or with one that has stood
// still for too long, it is ended first. If another process is swapping, the error is ErrSwapping.
func (s *Swapper) Lock(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	return s.takeOver(ctx)
}

func (s *Swapper) prepare(ctx context.Context) error {
	if _, err := s.store.dialect.Inspect(ctx, s.store.db); err != nil {
		return s.store.dialect.Classify(err)
	}
	s.store.statements = s.store.dialect.Statements() // which may depend on the server
	return s.store.prepareOwn(ctx)
}

// exclude opens the connection, and takes the lock.
func (s *Swapper) exclude(ctx context.Context) (got bool, err error) {
	if s.conn, err = s.store.db.Conn(ctx); err != nil {
		return false, err
	}
	if err := s.dialect.Settle(ctx, s.conn); err != nil {
		return false, err
	}
	s.release, got, err = s.dialect.Exclude(ctx, s.conn, s.swap.lock())
	return got, err
}

// Abandon gives the connection up without a word, as a process does that is killed. It is for tests.
func (s *Swapper) Abandon() {
	if s.conn == nil {
		return
	}
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = s.conn.Close()
	if _, transactional := s.dialect.Rename(dialect.Exchange{}); transactional && s.release != nil {
		s.release() // what the system would do
	}
	s.conn, s.release = nil, nil
}

var errNoConnection = errors.New("the connection that drives the swap is lost")

// Ping tells whether the connection that drives is there, and keeps it: a server ends what is silent.
func (s *Swapper) Ping(ctx context.Context) error {
	if s.conn == nil {
		return errNoConnection
	}
	_, err := s.conn.ExecContext(ctx, "SELECT 1")
	return s.store.dialect.Classify(err)
}

// exec runs one statement of a step.
func (s *Swapper) exec(ctx context.Context, statement string, args ...any) (n int64, err error) {
	if s.Before != nil {
		if err := s.Before(statement); err != nil {
			return 0, err
		}
	}
	if s.conn == nil {
		return 0, errNoConnection
	}
	done, err := s.conn.ExecContext(ctx, statement, args...)
	if err == nil && s.After != nil {
		if err = s.After(statement); s.conn == nil {
			err = cmp.Or(err, errNoConnection)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", statement, err)
	}
	n, err = done.RowsAffected()
	return n, err
}

// transact runs do in one transaction, again where it met a lock: nobody keeps one for long.
func (s *Swapper) transact(ctx context.Context, do func() error) error {
	for wait, attempt := stage.NewBackoff(), 1; ; attempt++ {
		_, err := s.exec(ctx, s.store.statements.Begin)
		if err == nil {
			err = do()
		}
		if err == nil {
			_, err = s.exec(ctx, "COMMIT")
		}
		if err == nil {
			return nil
		}
		if s.conn == nil {
			return err
		}
		if _, failed := s.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); failed != nil {
			return errors.Join(err, failed)
		}
		if r := s.store.dialect.Reason(err); attempt == 10 || r != dialect.Deadlock && r != dialect.LockTimeout {
			return s.store.dialect.Classify(err)
		}
		if stopped := stage.Sleep(ctx, wait.NextBackOff()); stopped != nil {
			return err
		}
	}
}
