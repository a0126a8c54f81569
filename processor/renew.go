package processor

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// turns ends the sessions of one turn together: after a topic was recreated, their clients know only the old one.
type turns struct {
	mu  sync.Mutex
	end context.CancelFunc // of the turn under way; nil before the first
	ctx context.Context
}

// next returns the context of the turn under way, which ends with ctx too.
func (t *turns) next(ctx context.Context) context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.end == nil {
		t.ctx, t.end = context.WithCancel(ctx)
	}
	return t.ctx
}

// over ends the turn under way.
func (t *turns) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.end != nil {
		t.end()
		t.end = nil
	}
}

// unknownTopic reports whether a broker or the client does not know a topic, or not by its id.
func unknownTopic(err error) bool {
	return errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.UnknownTopicOrPartition)
}

// renew looks whether topics were deleted or recreated, tells of those, and has new sessions go on with the new ones.
// The group has no offset for a topic that was deleted: it is read from its start.
func (p *Processor) renew(ctx context.Context, adm *kadm.Client) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	changes, err := p.topics.Look(ctx, adm)
	for _, c := range changes {
		p.env.Log.Warn(c.String()+"; the processor continues with the new one", "topic", c.Topic)
	}
	if len(changes) > 0 {
		p.turns.over()
	}
	return err
}
