package control

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/internal/stage"
)

// Persist calls attempt, which takes something over from whoever writes there, until it returns nil: as long as another
// process takes it over in turn, and for 20 s while the brokers answer what may pass. An attempt can be made again
// although the one before did all of it. Persist returns the last attempt's error, at once if that is
// [backoff.Permanent] or cannot pass by waiting, or when ctx ends.
func Persist(ctx context.Context, attempt func() error) error {
	for wait, until := stage.NewBackoff(), time.Now().Add(quiet); ; {
		err := attempt()
		if final, ok := errors.AsType[*backoff.PermanentError](err); ok {
			return final.Err
		}
		_, fenced := errors.AsType[*changelog.FencedError](err)
		if err == nil || !fenced && (!passes(err) || time.Now().After(until)) {
			return err
		}
		if stage.Sleep(ctx, wait.NextBackOff()) != nil { // at random, so that they do not fence each other again
			return err
		}
	}
}

// passes reports whether what the brokers answered may be another answer the next time. UNKNOWN_SERVER_ERROR is any
// exception that a broker did not expect, CONCURRENT_TRANSACTIONS ends with the transaction before, and a connection
// that ends before it has begun is of what stands before a broker that is started: the client takes none of them for
// passing. A connection that a listener ends because TLS or SASL does not fit has another error.
func passes(err error) bool {
	if answer, ok := errors.AsType[*kerr.Error](err); ok {
		return answer.Retriable && !errors.Is(answer, kerr.UnknownTopicOrPartition) ||
			errors.Is(answer, kerr.UnknownServerError) || errors.Is(answer, kerr.ConcurrentTransactions)
	}
	return errors.Is(err, io.EOF)
}
