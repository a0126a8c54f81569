package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// prepare makes topics and tables, waiting for their servers as long as it takes. What is decided about the streams
// says which columns a table has.
func (s *Sink) prepare(ctx context.Context) error {
	err := s.persist(ctx, s.store.dialect.Name(), "tables", func(ctx context.Context) error {
		s.store.forget()
		return s.store.prepare(ctx, s.tables.all())
	})
	if err == nil && ctx.Err() == nil {
		err = s.prepareTopics(ctx)
	}
	for _, topic := range slices.Sorted(maps.Keys(s.tables.all())) {
		if err != nil || ctx.Err() != nil {
			return err
		}
		s.define(topic) // tend does later
		if err = s.prepareTable(ctx, topic); err == nil {
			s.pause(topic) // nobody else is there to need s.mu
		}
	}
	return err
}

// prepareTopics makes the topics, and reads what is decided.
func (s *Sink) prepareTopics(ctx context.Context) error {
	client, err := kgo.NewClient(s.env.Kafka...)
	if err != nil {
		return fmt.Errorf("new client: %w", err)
	}
	defer client.Close()
	err = s.persist(ctx, "Kafka", "topics", func(ctx context.Context) error {
		adm := kadm.NewClient(client)
		if err := admin.EnsureIf(ctx, adm, topics.Specs(s.pipeline), s.topics.May); err != nil {
			return err
		}
		_, err := s.topics.Look(ctx, adm)
		return err
	})
	if err != nil || ctx.Err() != nil {
		return err
	}
	if err := s.refresh(ctx); err != nil {
		s.env.Log.Debug("not known yet what is decided about the streams", "err", err)
	}
	return nil
}

// prepareTable parks the stream of a topic if its table is not in order.
func (s *Sink) prepareTable(ctx context.Context, topic string) error {
	if errors.Is(s.paused(topic), errDropped) {
		return nil // or it would be made again
	}
	return s.persist(ctx, s.store.dialect.Name(), "tables", func(ctx context.Context) error {
		s.store.forget()
		err := s.store.prepareTable(ctx, topic, s.tables.of(topic))
		if _, misfit := errors.AsType[*TableError](err); misfit || isSwap(err) {
			s.park(topic, err) // nobody else is there to need s.mu
			return nil
		}
		return err
	})
}

// persist calls do until it returns nil, ctx is cancelled (nil too), or its error needs an operator. The log names who
// waits.
func (s *Sink) persist(ctx context.Context, server, who string, do func(context.Context) error) error {
	return s.waits.Persist(ctx, stage.Attempts{Server: server, Who: who, Timeout: 30 * time.Second, Permanent: mustStop}, do)
}

// mustStop tells what needs an operator before anything can go on.
func mustStop(err error) bool {
	var position *PositionError
	var server *dialect.ServerError
	return errors.As(err, &server) || admin.NeedsOperator(err) || errors.As(err, &position)
}
