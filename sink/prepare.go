package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
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
	err := s.persist(ctx, s.store.dialect.Name(), "tables", func(ctx context.Context) error { return s.store.prepare(ctx, tables) })
	if err != nil || ctx.Err() != nil {
		return err
	}
	client, err := kgo.NewClient(s.env.Kafka...)
	if err != nil {
		return fmt.Errorf("new client: %w", err)
	}
	defer client.Close()
	return s.persist(ctx, "Kafka", "topics", func(ctx context.Context) error {
		return admin.Ensure(ctx, kadm.NewClient(client), topics.Specs(s.pipeline))
	})
}

// persist calls do until it returns nil, ctx is cancelled (nil too), or its error needs an operator. The log names who waits.
func (s *Sink) persist(ctx context.Context, server, who string, do func(context.Context) error) error {
	return s.waits.Persist(ctx, stage.Attempts{Server: server, Who: who, Timeout: 30 * time.Second, Permanent: mustStop}, do)
}

// mustStop tells what needs an operator before anything can go on.
func mustStop(err error) bool {
	var mismatch *admin.MismatchError
	var misfit *TableError
	var position *PositionError
	var server *dialect.ServerError
	return errors.As(err, &server) || errors.As(err, &mismatch) || errors.As(err, &misfit) || errors.As(err, &position)
}
