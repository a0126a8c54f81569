package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	all, err := ChangeAll(ctx, cfg, []string{stream}, func(_ string, s *Stream) error { return f(s) })
	return all[stream], err
}

// ChangeAll is [Change] for several streams, in one transaction: f is called for each, in their order. Where it returns
// [ErrUnchanged] the stream stays as it is. After any other error f is called no more, and nothing is written.
func ChangeAll(ctx context.Context, cfg Config, streams []string, f func(stream string, s *Stream) error) (map[string]Stream, error) {
	for wait := stage.NewBackoff(); ; {
		all, err := change(ctx, cfg, streams, f)
		if _, fenced := errors.AsType[*changelog.FencedError](err); !fenced {
			return all, err
		}
		if stage.Sleep(ctx, wait.NextBackOff()) != nil { // at random, so that they do not fence each other again
			return all, err
		}
	}
}

func change(ctx context.Context, cfg Config, streams []string, f func(string, *Stream) error) (map[string]Stream, error) {
	topic := topics.Control(cfg.Pipeline)
	records := map[string][]byte{}
	log, err := changelog.Claim(ctx, changelog.Config{
		Topic: topic, TransactionalID: topic, TransactionTimeout: transactionTimeout, Owner: cfg.Who, Quiet: quiet, Client: slices.Clone(cfg.Client),
	}, func(key string, value []byte) { records[key] = slices.Clone(value) })
	if err != nil {
		return nil, err
	}
	defer log.Close()
	before, after := map[string]Stream{}, map[string]Stream{}
	for _, name := range streams {
		key := keyPrefix + name
		if before[name], err = decode(topic, key, records[key]); err != nil {
			return nil, err
		}
	}
	changed := map[string][]byte{} // by key
	for _, name := range streams {
		key := keyPrefix + name
		s, err := decode(topic, key, records[key]) // a copy
		if err != nil {
			return nil, err
		}
		switch err := f(name, &s); {
		case errors.Is(err, ErrUnchanged):
			after[name] = before[name]
			continue
		case err != nil:
			return before, err
		}
		if changed[key], err = json.Marshal(s); err != nil {
			return before, err
		}
		after[name] = s
	}
	if len(changed) == 0 {
		return before, nil
	}
	if err := commit(ctx, log, changed); err != nil {
		return before, err
	}
	return after, nil
}

// commit writes records in one transaction.
func commit(ctx context.Context, log *changelog.Changelog, records map[string][]byte) error {
	tx, err := log.Begin()
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(records)) {
		tx.Append(ctx, []byte(key), records[key])
	}
	return tx.Commit(ctx)
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
