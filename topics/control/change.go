package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics"
)

// keyPrefix begins the keys of the records in the topic; the stream's name follows.
const keyPrefix = "stream/"

// transactionTimeout bounds how long readers wait for a process that died while it decided.
const transactionTimeout = 10 * time.Second

// quiet is how long brokers that do not answer are waited for.
const quiet = 20 * time.Second

// Config says whose decisions they are.
type Config struct {
	Pipeline string
	Who      string    // who decides, for people
	Client   []kgo.Opt // how to reach the brokers
}

// ErrUnchanged is returned by the function given to [Change] if there is nothing to decide.
var ErrUnchanged = errors.New("nothing is to be changed")

// Change decides about a stream. f is given what was decided so far, which it changes; if it returns [ErrUnchanged], or
// any other error, nothing is written. f may be called several times, when another process decides at the same time. Change returns
// what holds now. When its error is f's, but for ErrUnchanged, the state is the one that f was given at first. After an error of the
// brokers it is not known whether the decision was written: whoever asks again finds out.
func Change(ctx context.Context, cfg Config, stream string, f func(*Stream) error) (Stream, error) {
	for wait := stage.NewBackoff(); ; {
		s, err := change(ctx, cfg, stream, f)
		if _, fenced := errors.AsType[*changelog.FencedError](err); !fenced {
			return s, err
		}
		if stage.Sleep(ctx, wait.NextBackOff()) != nil { // at random, so that they do not fence each other again
			return s, err
		}
	}
}

func change(ctx context.Context, cfg Config, stream string, f func(*Stream) error) (Stream, error) {
	topic := topics.Control(cfg.Pipeline)
	all := map[string][]byte{}
	log, err := changelog.Claim(ctx, changelog.Config{
		Topic: topic, TransactionalID: topic, TransactionTimeout: transactionTimeout, Owner: cfg.Who, Quiet: quiet, Client: slices.Clone(cfg.Client),
	}, func(key string, value []byte) { all[key] = slices.Clone(value) })
	if err != nil {
		return Stream{}, err
	}
	defer log.Close()
	key := keyPrefix + stream
	before, err := decode(topic, key, all[key])
	if err != nil {
		return Stream{}, err
	}
	after, err := decode(topic, key, all[key]) // a copy
	if err != nil {
		return Stream{}, err
	}
	switch err := f(&after); {
	case errors.Is(err, ErrUnchanged):
		return before, nil
	case err != nil:
		return before, err
	}
	value, err := json.Marshal(after)
	if err != nil {
		return before, err
	}
	tx, err := log.Begin()
	if err != nil {
		return before, err
	}
	tx.Append(ctx, []byte(key), value)
	if err := tx.Commit(ctx); err != nil {
		return before, err
	}
	return after, nil
}

// decode reads a record of the topic; nil is the zero value.
func decode(topic, key string, value []byte) (s Stream, err error) {
	if value == nil {
		return s, nil
	}
	if err := json.Unmarshal(value, &s); err != nil {
		return s, fmt.Errorf("topic %s: the record %q is not of this version of millrace: %w", topic, key, err)
	}
	return s, nil
}
