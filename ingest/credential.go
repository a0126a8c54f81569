package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/fetch/auth"
	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics"
)

// credential keeps the tokens of one credential in the state topic, see [auth.Store]. Its key is that of no slice.
// Whoever claims it initialises a transactional id of its own, so that the brokers refuse who claimed it before.
type credential struct {
	in   *Ingest
	name string
	next int64  // offset up to which value is true; one goroutine uses both
	last []byte // at next
}

// credentialKey is the key in the state topic.
func credentialKey(name string) string { return "credential:" + name }

// Claim reads the partition of the credential to its end, the first time from its beginning. Of those who claim it at
// the same time, the last has it, and the others claim it again.
func (c *credential) Claim(ctx context.Context) ([]byte, auth.Claim, error) {
	for {
		log, err := c.claim(ctx)
		switch {
		case err == nil:
			return c.last, &credentialClaim{log: log, key: credentialKey(c.name)}, nil
		case !taken(err):
			if errors.Is(err, kerr.OffsetOutOfRange) {
				c.next, c.last = 0, nil // it is another topic of that name
			}
			return nil, nil, fmt.Errorf("credential: %w", err)
		}
		if err := stage.Sleep(ctx, 50*time.Millisecond+rand.N(200*time.Millisecond)); err != nil {
			return nil, nil, err
		}
	}
}

func (c *credential) claim(ctx context.Context) (*changelog.Changelog, error) {
	key := credentialKey(c.name)
	partition := topics.Partition([]byte(key), topics.StatePartitions)
	return changelog.Claim(ctx, changelog.Config{
		Topic: topics.IngestState(c.in.p.Name), Partition: partition,
		TransactionalID:    topics.IngestCredentialID(c.in.p.Name, c.name),
		TransactionTimeout: c.in.cfg.TransactionTimeout, Owner: c.in.env.Instance,
		Quiet: claimQuiet, From: &c.next, Turn: c.in.restoring,
		Client: append([]kgo.Opt(nil), c.in.env.Kafka...),
	}, func(k string, value []byte) {
		if k == key {
			c.last = append([]byte(nil), value...)
		}
	})
}

type credentialClaim struct {
	log *changelog.Changelog
	key string
}

// Put commits a value.
func (c *credentialClaim) Put(ctx context.Context, value []byte) error {
	tx, err := c.log.Begin()
	if err == nil {
		tx.Append(ctx, []byte(c.key), value)
		err = tx.Commit(ctx)
	}
	if taken(err) {
		return auth.ErrTaken
	}
	return err
}

// Close gives back the connections.
func (c *credentialClaim) Close() { c.log.Close() }

func taken(err error) bool {
	_, fenced := errors.AsType[*changelog.FencedError](err)
	return fenced
}
