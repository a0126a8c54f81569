package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// abandoned is how long a transaction that is open keeps its readers waiting until it is taken for left by a process
// that died. One that decides or sets positions back takes milliseconds; a slow one that is fenced begins again.
const abandoned = 2 * time.Second

// AbortAbandoned aborts the transactions that a process has left open in a topic which died: else whoever reads there
// waits until they time out. ids are the transactional ids, by partition, of all who write there. A process that lives
// and only was slow is fenced. The error is the brokers', or ctx's.
func AbortAbandoned(ctx context.Context, cl *kgo.Client, topic string, ids map[int32]string) error {
	open, err := openAt(ctx, cl, topic)
	maps.DeleteFunc(open, func(n int32, _ int64) bool { return ids[n] == "" })
	if err != nil || len(open) == 0 {
		return err
	}
	const looks = 20
	tick := time.NewTicker(abandoned / looks)
	defer tick.Stop()
	for range looks {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now, err := openAt(ctx, cl, topic)
		maps.DeleteFunc(open, func(n int32, at int64) bool { is, still := now[n]; return !still || is != at })
		if err != nil || len(open) == 0 {
			return err
		}
	}
	for n := range open {
		if err := FenceID(ctx, cl, ids[n]); err != nil {
			return err
		}
	}
	return nil
}

// openAt is, by partition of a topic, where the first transaction begins that is open; a partition without one is left
// out.
func openAt(ctx context.Context, cl *kgo.Client, topic string) (map[int32]int64, error) {
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("end of %s: %w", topic, err)
	}
	stable, err := adm.ListCommittedOffsets(ctx, topic) // after the ends, so that one below them is open
	if err == nil {
		err = stable.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("open transactions of %s: %w", topic, err)
	}
	open := map[int32]int64{}
	stable.Each(func(o kadm.ListedOffset) {
		if end, ok := ends.Lookup(topic, o.Partition); ok && o.Offset < end.Offset {
			open[o.Partition] = o.Offset
		}
	})
	return open, nil
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
