package sink

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/millrace-io/millrace/topics"
)

// Moved has the sinks forget which rows the partitions of a stream's processed topic have written last: after its
// topics were given more partitions, another partition changes and removes them. It takes the claims back; sinks claim
// again by themselves. It may be called again. The errors are SetMarking's.
func (a *Admin) Moved(ctx context.Context, stream string) error {
	topic := topics.Processed(a.pipeline.Name, stream)
	if err := a.change(ctx, stream, func(ctx context.Context, conn *sql.Conn, _ string) error {
		return a.store.forgetWitnesses(ctx, conn, topic)
	}); err != nil {
		return fmt.Errorf("sink: stream %s: forget what partitions wrote: %w", stream, err)
	}
	return nil
}
