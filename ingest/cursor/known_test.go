package cursor_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/paginate"
)

// TestWhatAnotherReadTells: a torn read is made once more, and not again and again; what was not shown is left until it
// is confirmed, or until a person decides.
func TestWhatAnotherReadTells(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		known      cursor.Known
		torn, left bool
	}{
		"all is told":            {known: cursor.Known{Read: 7}},
		"torn":                   {known: cursor.Known{Read: 6, Torn: true}, torn: true},
		"not confirmed":          {known: cursor.Known{Read: 7, Left: 2, Slipping: 1}, left: true},
		"shown after the read":   {known: cursor.Known{Read: 7, Left: 2}, left: true},
		"held":                   {known: cursor.Known{Read: 7, Left: 2, Held: &cursor.Held{Keys: 2}}},
		"held and not confirmed": {known: cursor.Known{Read: 7, Left: 2, Slipping: 1, Held: &cursor.Held{Keys: 2}}, left: true},
		"a read before left it":  {known: cursor.Known{Read: 6, Left: 2, Slipping: 1}},
	} {
		at := cursor.Cursor{Pass: 7, Done: true, Known: &c.known}
		if at.Torn() != c.torn || at.Left() != c.left {
			t.Errorf("%s: torn %v, left %v", name, at.Torn(), at.Left())
		}
		next := at.Begin(time.Now(), paginate.Position{})
		if next.Done = true; next.Torn() || next.Left() || c.known.Torn != c.torn {
			t.Errorf("%s: after the next pass torn %v, left %v; before it %+v", name, next.Torn(), next.Left(), c.known)
		}
	}
}
