package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fence takes every transactional id that begins with prefix from the producer that has it. When it returns nil, no
// transaction that was open under one of them at the time of the call can commit any more: it was aborted, or had been
// committed. A producer that initialises itself after the call goes on. It returns the ids. The error is the brokers',
// or ctx's: the caller tries again.
func Fence(ctx context.Context, cl *kgo.Client, prefix string) (ids []string, err error) {
	adm := kadm.NewClient(cl)
	fenced := map[string]bool{}
	for more := true; more; { // an id can move from a broker to one that was asked before
		more = false
		listed, err := adm.ListTransactions(ctx, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("fence %s*: list transactions: %w", prefix, err)
		}
		for _, id := range listed.TransactionalIDs() {
			if !strings.HasPrefix(id, prefix) || fenced[id] {
				continue
			}
			if err := fence(ctx, cl, id); err != nil {
				return nil, fmt.Errorf("fence %s: %w", id, err)
			}
			fenced[id], more = true, true
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// FenceID is [Fence] for one transactional id, which need not have been used before.
func FenceID(ctx context.Context, cl *kgo.Client, id string) error {
	if err := fence(ctx, cl, id); err != nil {
		return fmt.Errorf("fence %s: %w", id, err)
	}
	return nil
}

// fenceTimeout is the transaction timeout of an id until its next producer sets its own.
const fenceTimeout = 10_000 // ms

// fence initialises a producer, which aborts the transaction of the one before, and waits until it is aborted.
func fence(ctx context.Context, cl *kgo.Client, id string) error {
	for wait := again(); ; {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = &id, fenceTimeout, -1, -1
		resp, err := req.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if !errors.Is(err, kerr.ConcurrentTransactions) && !kerr.IsRetriable(err) {
			return err
		}
		if stopped := pause(ctx, wait); stopped != nil {
			return errors.Join(err, stopped)
		}
	}
}

// again is the pauses between attempts; see pause.
func again() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 20*time.Millisecond, time.Second
	return b
}

// pause waits for the next attempt. It returns ctx's error if that ends before.
func pause(ctx context.Context, b *backoff.ExponentialBackOff) error {
	t := time.NewTimer(b.NextBackOff())
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
