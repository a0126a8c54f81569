package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/topics"
)

// Watch notices that topics were deleted, or recreated, while a stage runs: a client never goes over to a topic with a
// new id by itself. Its methods may be called concurrently.
type Watch struct {
	// May is asked before a topic that is missing is made: see [EnsureIf]. It is set before the first look.
	May func(context.Context) error

	specs []topics.Spec

	mu  sync.Mutex
	ids map[string]kadm.TopicID // as of the last look
}

// Change is what happened to a topic since the last look.
type Change struct {
	Topic string
	// Made says that the topic was missing, and was made again by this look. Else it was deleted and recreated by
	// somebody else.
	Made bool
}

func (c Change) String() string {
	if c.Made {
		return fmt.Sprintf("the topic %s was deleted: it is made again, empty, and what it held is gone", c.Topic)
	}
	return fmt.Sprintf("the topic %s was deleted and made again: what it held before is gone", c.Topic)
}

// NewWatch returns a watch over the topics of specs, which has not looked yet.
func NewWatch(specs []topics.Spec) *Watch {
	return &Watch{specs: specs, ids: map[string]kadm.TopicID{}}
}

// Look compares the topics with the last look, in the order of the specs, and makes again those that are missing. The
// first look finds no change. Its errors are those of [Ensure]; a change is then found by the next look.
func (w *Watch) Look(ctx context.Context, adm *kadm.Client) ([]Change, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, err := w.list(ctx, adm)
	if err != nil {
		return nil, err
	}
	var changes []Change
	for _, s := range w.specs {
		was, known := w.ids[s.Topic]
		switch id, there := now[s.Topic]; {
		case !there:
			changes = append(changes, Change{s.Topic, true})
		case known && id != was:
			changes = append(changes, Change{s.Topic, false})
		}
	}
	if len(changes) > 0 {
		if err := EnsureIf(ctx, adm, w.specs, w.May); err != nil {
			return nil, err
		}
		if now, err = w.list(ctx, adm); err != nil {
			return nil, err
		}
	}
	first := len(w.ids) == 0
	w.ids = now
	if first {
		return nil, nil
	}
	return changes, nil
}

// ID is the id of a topic as of the last look that succeeded, hexadecimal; empty, if it was not there.
func (w *Watch) ID(topic string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	id, ok := w.ids[topic]
	if !ok {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// list returns the ids of the topics that are there.
func (w *Watch) list(ctx context.Context, adm *kadm.Client) (map[string]kadm.TopicID, error) {
	details, err := list(ctx, adm, names(w.specs)...)
	if err != nil {
		return nil, err
	}
	ids := map[string]kadm.TopicID{}
	for _, s := range w.specs {
		switch d, ok := details[s.Topic]; {
		case !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
		case d.Err != nil:
			return nil, fmt.Errorf("topic %s: %w", s.Topic, d.Err)
		default:
			ids[s.Topic] = d.ID
		}
	}
	return ids, nil
}
