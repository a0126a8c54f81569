package sink

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

// Whole says whether a stream's table has lost rows: it was dropped, emptied or restored alone, so that its sinks wait.
// The error is a *[TableError] then, with what to do. It is nil if no sink has run yet, and while the table is being
// swapped. It changes nothing. The stream must have the logic that is live: by its key columns rows are looked for.
func (a *Admin) Whole(ctx context.Context, stream string) error {
	st, err := a.stream(stream)
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	s, t, topic := a.store, rows.NewTable(st), topics.Processed(a.pipeline.Name, stream)
	_, there, err := s.still(ctx, topic, t)
	if err == nil && there {
		err = s.testimony(ctx, topic, t)
	}
	if err == nil || s.dialect.Missing(err) {
		return nil
	}
	switch lost, ok := errors.AsType[*TableError](err); {
	case !ok || lost.Err != nil:
		return fmt.Errorf("sink: stream %s: %w", stream, s.dialect.Classify(err))
	case s.swapInTheWay(ctx, t) == nil:
		return err
	}
	return nil // the name may be another table's by now
}
