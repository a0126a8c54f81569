package sink

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/sink/rows"
)

// Owned says whether another stream writes a stream's table, so that its sinks wait: the error is an *[OwnerError]
// then. It is nil if no sink has run yet. It changes nothing.
func (a *Admin) Owned(ctx context.Context, stream string) error {
	st, err := a.stream(stream)
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	other, err := a.otherOwner(ctx, rows.NewTable(st))
	if err != nil {
		return fmt.Errorf("sink: stream %s: whose its table is: %w", stream, a.store.dialect.Classify(err))
	}
	if other != nil {
		return other
	}
	return nil
}

// otherOwner is who writes t, if that is another stream; nil: it is not. The lines of t's stream are none.
func (a *Admin) otherOwner(ctx context.Context, t *rows.Table) (*OwnerError, error) {
	s := a.store
	name, err := s.nameNow(ctx, s.db, t)
	if err != nil {
		return nil, s.unlessMissing(err)
	}
	is, err := s.ownedNow(ctx, s.db, name)
	line := strings.HasPrefix(is.pipeline, s.pipeline+".")
	if err != nil || is.pipeline == "" || line || is.pipeline == s.pipeline && is.stream == t.Stream {
		return nil, s.unlessMissing(err)
	}
	if is.pipeline == s.pipeline && !s.streams[is.stream] { // it was renamed, and takes an empty table by itself
		if full, err := s.anyRow(ctx, t); err != nil || !full {
			return nil, err
		}
	}
	return &OwnerError{
		Table: name, Owner: fmt.Sprintf("the stream %s of the pipeline %s writes it", is.stream, is.pipeline), Remedy: s.adoption(t.Stream),
	}, nil
}

// unlessMissing is err, but for that of millrace's own tables not being there.
func (s *store) unlessMissing(err error) error {
	if s.dialect.Missing(err) {
		return nil
	}
	return err
}

// anyRow is [store.filled] on a connection of its own.
func (s *store) anyRow(ctx context.Context, t *rows.Table) (bool, error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	return s.filled(ctx, conn, t)
}
