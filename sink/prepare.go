package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// prepare makes topics and tables, waiting for their servers as long as it takes.
func (s *Sink) prepare(ctx context.Context) error {
	tables := make([]*rows.Table, 0, len(s.tables))
	for _, t := range s.tables {
		tables = append(tables, t)
	}
	slices.SortFunc(tables, func(a, b *rows.Table) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
	if err := s.persist(ctx, s.store.dialect.Name(), func(ctx context.Context) error { return s.store.prepare(ctx, tables) }); err != nil || ctx.Err() != nil {
		return err
	}
	client, err := kgo.NewClient(s.env.Kafka...)
	if err != nil {
		return fmt.Errorf("sink: new client: %w", err)
	}
	defer client.Close()
	return s.persist(ctx, "Kafka", func(ctx context.Context) error {
		return admin.Ensure(ctx, kadm.NewClient(client), topics.Specs(s.pipeline))
	})
}

// persist calls do until it returns nil, ctx is cancelled (nil), or its error is one that needs an operator.
func (s *Sink) persist(ctx context.Context, server string, do func(context.Context) error) error {
	wait := newBackoff()
	for {
		attempt, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := do(attempt)
		cancel()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // as documented above
		}
		if err == nil {
			s.waits.done(server)
			return nil
		}
		if mustStop(err) {
			return fmt.Errorf("sink: %w", err)
		}
		s.waits.on(server, err)
		select {
		case <-ctx.Done():
		case <-time.After(wait.NextBackOff()):
		}
	}
}

// mustStop tells what needs an operator before anything can go on.
func mustStop(err error) bool {
	var mismatch *admin.MismatchError
	var misfit *TableError
	var position *PositionError
	var server *dialect.ServerError
	return errors.As(err, &server) || errors.As(err, &mismatch) || errors.As(err, &misfit) || errors.As(err, &position)
}
