package sink

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/millrace-io/millrace/topics"
)

// GoOnAt has a stream's sinks go on at these offsets of the processed topic, by partition, where their positions are
// lower: the log does not have what is between. Who calls it has seen to it that what is between comes once more. The
// epoch of the table stays, so that no row goes back. Called again it changes nothing. The errors are SetMarking's.
func (a *Admin) GoOnAt(ctx context.Context, stream string, at map[int32]int64) error {
	topic := topics.Processed(a.pipeline.Name, stream)
	err := a.change(ctx, stream, func(ctx context.Context, conn *sql.Conn, _ string) error {
		for partition, next := range at {
			_, err := conn.ExecContext(ctx, "UPDATE millrace_offsets SET next_offset = ? WHERE topic = ? AND part = ? AND next_offset < ?",
				next, topic, partition, next)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sink: stream %s: continue at the start of the log: %w", stream, err)
	}
	return nil
}
