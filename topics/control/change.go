package control

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/topics"
)

// keyPrefix begins the keys of the records in the topic; the stream's name follows.
const keyPrefix = "stream/"

// transactionTimeout bounds how long readers wait for a process that died while it decided.
const transactionTimeout = 10 * time.Second

// quiet is how long brokers that do not answer are waited for, and how long they are asked again that answer with an
// error.
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
// any other error, nothing is written. f may be called several times: when another process decides at the same time, or
// the brokers gave an answer that may pass, see [Persist]. Change returns what it has decided, which was written once,
// or what holds if it decided nothing. When its error is f's, but for ErrUnchanged, the state is the one that f was
// given at first. After an error of the brokers it is not known whether the decision was written: whoever asks again
// finds out.
func Change(ctx context.Context, cfg Config, stream string, f func(*Stream) error) (Stream, error) {
	all, err := ChangeAll(ctx, cfg, []string{stream}, func(_ string, s *Stream) error { return f(s) })
	return all[stream], err
}

// ChangeAll is [Change] for several streams, in one transaction: f is called for each, in their order. Where it returns
// [ErrUnchanged] the stream stays as it is. After any other error f is called no more, and nothing is written.
func ChangeAll(ctx context.Context, cfg Config, streams []string, f func(stream string, s *Stream) error) (map[string]Stream, error) {
	d := decision{cfg: cfg, topic: topics.Control(cfg.Pipeline), streams: streams, f: f, id: rand.Text()}
	var all map[string]Stream
	err := Persist(ctx, func() (err error) {
		if all, err = d.attempt(ctx); d.refused {
			return backoff.Permanent(err)
		}
		return err
	})
	return all, err
}

// decision is one call of ChangeAll, in however many attempts. An attempt that failed may have been committed all the
// same: so each leaves the id in what it writes, and the next one, which by its claim keeps the one before from being
// committed later, looks for it.
type decision struct {
	cfg     Config
	topic   string
	streams []string
	f       func(stream string, s *Stream) error
	id      string
	refused bool              // the error is f's
	written map[string]Stream // by the last attempt that wrote
}

// attempt decides, unless an attempt before has.
func (d *decision) attempt(ctx context.Context) (map[string]Stream, error) {
	records := map[string][]byte{}
	log, err := changelog.Claim(ctx, changelog.Config{
		Topic: d.topic, TransactionalID: d.topic, TransactionTimeout: transactionTimeout, Owner: d.cfg.Who, Quiet: quiet,
		Client: slices.Clone(d.cfg.Client),
	}, func(key string, value []byte) { records[key] = slices.Clone(value) })
	if err != nil {
		return nil, err
	}
	defer log.Close()
	before, made := map[string]Stream{}, false
	for _, name := range d.streams {
		if before[name], err = decode(d.topic, keyPrefix+name, records[keyPrefix+name]); err != nil {
			return nil, err
		}
		made = made || slices.Contains(before[name].Decisions, d.id)
	}
	if made {
		return d.written, nil
	}
	after, changed, err := d.decide(records, before)
	if err != nil || len(changed) == 0 {
		return before, err
	}
	d.written = after
	if err := commit(ctx, log, changed); err != nil {
		return before, err
	}
	return after, nil
}

// decide asks f. changed are the records to write, by key.
func (d *decision) decide(records map[string][]byte, before map[string]Stream) (after map[string]Stream, changed map[string][]byte, err error) {
	after, changed = map[string]Stream{}, map[string][]byte{}
	for _, name := range d.streams {
		key := keyPrefix + name
		s, err := decode(d.topic, key, records[key]) // a copy
		if err != nil {
			return nil, nil, err
		}
		switch err := d.f(name, &s); {
		case errors.Is(err, ErrUnchanged):
			after[name] = before[name]
			continue
		case err != nil:
			d.refused = true
			return nil, nil, err
		}
		s.decided(d.id)
		if changed[key], err = json.Marshal(s); err != nil {
			return nil, nil, err
		}
		after[name] = s
	}
	return after, changed, nil
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
