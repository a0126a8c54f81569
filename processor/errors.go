package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics/admin"
)

// TwinError says that two processes run under one name, and each ends what the other has begun.
type TwinError struct{ Instance string }

// Error is the same whatever the brokers answered, so that it is told once.
func (e *TwinError) Error() string {
	return fmt.Sprintf("another process runs under the instance name %s too, and each aborts the transactions of the other: give every process a name "+
		"of its own with --instance (if there is no other, this one was frozen for longer than a transaction may last, and continues)", e.Instance)
}

// twin makes a *[TwinError] of an answer that says that another producer or member of the same name has come. Beside a
// twin the brokers also answer that a transaction is in no state to be ended: it was the other's.
func (p *Processor) twin(err error) error {
	now := time.Now()
	switch last := p.twinned.Load(); {
	case fenced(err):
		p.twinned.Store(&now)
	case last == nil, !errors.Is(err, kerr.InvalidTxnState), now.Sub(*last) > time.Minute:
		return err
	}
	p.env.Log.Debug("a session ends", "err", err)
	return &TwinError{p.env.Instance}
}

// fenced reports whether a session has ended because its ids were taken.
func fenced(err error) bool {
	return errors.Is(err, kerr.FencedInstanceID) || errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
}

// needsOperator reports whether err is one that a person has to act on. After any other there is a new session.
func needsOperator(err error) bool { return admin.NeedsOperator(err) }

// pollError is the first error of a poll that the client does not retry by itself.
func pollError(group string, fetches kgo.Fetches) (err error) {
	fetches.EachError(func(topic string, partition int32, e error) {
		if err != nil || errors.Is(e, context.Canceled) || errors.Is(e, context.DeadlineExceeded) {
			return
		}
		err = fetchError(group, kgo.FetchError{Topic: topic, Partition: partition, Err: e})
	})
	return err
}

// fetchError chooses the fate of a poll's error: nil goes on, the client having the matter in hand.
func fetchError(group string, e kgo.FetchError) error {
	var loss *kgo.ErrDataLoss
	switch {
	case errors.Is(e.Err, kerr.OffsetOutOfRange), errors.As(e.Err, &loss):
		return &PositionError{Group: group, Gaps: []Gap{{e.Topic, e.Partition, -1, -1, -1}}, Err: e.Err}
	case errors.Is(e.Err, kerr.FencedInstanceID):
		return e.Err
	case kerr.IsRetriable(e.Err) && !errors.Is(e.Err, kerr.UnknownTopicID): // else it was recreated
		return nil
	}
	if e.Topic == "" {
		return fmt.Errorf("poll: %w", e.Err)
	}
	return fmt.Errorf("poll %s[%d]: %w", e.Topic, e.Partition, e.Err)
}
