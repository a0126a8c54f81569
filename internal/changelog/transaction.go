package changelog

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Transaction is records of other topics and the changes of the state that belong to them. After an error the
// [Changelog] must be closed, and the partition claimed again.
type Transaction struct {
	c   *Changelog
	err atomic.Pointer[error] // the first that a record met
}

// Begin begins a transaction. The one before must have been committed.
func (c *Changelog) Begin() (*Transaction, error) {
	if err := c.cl.BeginTransaction(); err != nil {
		return nil, c.failed("begin", err)
	}
	return &Transaction{c: c}, nil
}

// Produce writes a record to another topic. It waits only while too many bytes are on their way to the brokers. The
// client reads the record until the transaction is committed.
func (t *Transaction) Produce(ctx context.Context, r *kgo.Record) { t.c.cl.Produce(ctx, r, t.promise) }

// Append writes a change of the state; a nil value removes the key. It is like [Transaction.Produce].
func (t *Transaction) Append(ctx context.Context, key, value []byte) {
	t.Produce(ctx, &kgo.Record{Topic: t.c.cfg.Topic, Partition: t.c.cfg.Partition, Key: key, Value: value})
}

func (t *Transaction) promise(_ *kgo.Record, err error) {
	if err != nil {
		t.err.CompareAndSwap(nil, &err)
	}
}

// Err is the first error that a record of the transaction has met so far.
func (t *Transaction) Err() error {
	if err := t.err.Load(); err != nil {
		return t.c.failed("produce", *err)
	}
	return nil
}

// Commit ends the transaction. When it returns nil, everything in it is durable and visible. It waits until ctx ends
// for brokers that do not answer. After an error it is not known whether the transaction was committed.
func (t *Transaction) Commit(ctx context.Context) error {
	if err := t.c.cl.Flush(ctx); err != nil {
		return t.c.failed("flush", err)
	}
	if err := t.Err(); err != nil {
		return err
	}
	if err := t.c.cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return t.c.failed("commit", err)
	}
	return nil
}

// failed says what an error of the brokers means.
func (c *Changelog) failed(doing string, err error) error {
	err = fmt.Errorf("%s: %w", doing, err)
	if fencing(err) {
		return &FencedError{Topic: c.cfg.Topic, Partition: c.cfg.Partition, Err: err}
	}
	return fmt.Errorf("%s[%d]: %w", c.cfg.Topic, c.cfg.Partition, err)
}
