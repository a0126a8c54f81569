package ingest

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/internal/stage"
)

// TestEndOfPassIsNotWaitedOn: when the pass of every slice in a transaction has ended, its records are no reason to
// wait for more. While a pass goes on they are.
func TestEndOfPassIsNotWaitedOn(t *testing.T) {
	const records, partitions = 40_000, 6
	first, second := &slice{}, &slice{}
	tx := &transaction{cursors: map[*slice]*cursor.Cursor{}, counts: map[*slice]*counts{first: {records: records}}}
	loaded, idle := stage.Gap(records, partitions), stage.Gap(0, partitions)
	for i, step := range []struct {
		slice *slice
		done  bool
		want  time.Duration
	}{
		{first, false, loaded},
		{second, false, loaded},
		{first, false, loaded},
		{first, true, loaded}, // the second goes on
		{second, true, idle},
		{first, false, loaded}, // its next pass
		{first, true, idle},
	} {
		tx.ended(&page{slice: step.slice, after: cursor.Cursor{Done: step.done}})
		if got := stage.Gap(tx.awaited(partitions)); got != step.want {
			t.Errorf("page %d: waits %s, want %s", i, got, step.want)
		}
	}
}
