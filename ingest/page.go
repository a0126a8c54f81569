package ingest

import (
	"net/url"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/paginate"
)

// page is a page that was received whole and found to be in order.
type page struct {
	slice   *slice
	answer  *fetch.Answer
	asked   *url.URL // without credentials that are added to each request
	url     string   // without secrets
	at      paginate.Position
	summary paginate.Page
	records []record // nil if there are many: they are cut out again when they are written
	seen    cursor.Seen
	broken  []cut.SyntaxError // records that are no JSON, and are dead letters
	flawed  bool              // a record has a version or an incremental field that cannot be read
	hash    xxh3.Uint128      // of the records' contents, in order; zero if there are none
	ids     uint64            // sum of the hashes of the records' keys
	guessed string            // what the records were taken for, if it was not declared

	sent, received time.Time // what the page shows was so at some time between them

	job *jobStep // what it leads to, of a report job; nil: the pager knows

	// Set once the pages before it are known:
	before, after cursor.Cursor
	ended         paginate.Reason // why the pass ends with it
	kept          string          // where the next pass goes on, as the last page of a pass tells; empty: it does not
	id            string
	committed     chan struct{}    // closed when it is
	list          *listing         // in the place of all the rest: what a feed has to commit; nil: it is a page
	gone          []gone           // keys that are to be deleted with it, and that have no tombstone yet
	buried        int              // how many have one
	held          []uint64         // hashes of some of the keys that are too many to be deleted
	blinded       string           // why the read that ends with it does not count; empty: it does
	known         *cursor.Known    // what its pass has shown, if it is a complete read that ends with it; nil: it is none
	laid          []cursor.Stretch // of the slice's past, to be fetched once it is committed
	laidIn        *backfill        // that knows of them
	lent          bool             // a client that is closed by now may still be reading its bytes
}

// close gives back what the page holds.
func (p *page) close() {
	if p.list != nil {
		return
	}
	if p.lent {
		p.answer.Body.Abandon()
		return
	}
	p.answer.Body.Close()
}

// size is how many bytes of records the page has at most.
func (p *page) size() int64 {
	if p.list != nil {
		return leastPage + p.list.size()
	}
	if p.answer == nil || p.answer.Body == nil {
		return leastPage + p.goneBytes()
	}
	return max(p.answer.Body.Size(), leastPage) + p.goneBytes()
}

// leastPage is what a page counts for at least.
const leastPage = 1 << 10

// record is a record of a page.
type record struct {
	value      []byte // as the API sent it
	key        []byte // raw key; nil: it has none
	reason     string // why it is a dead letter; empty: it is none
	step       string // what refused it, as a path in the pipeline file
	source     int64  // its version, if hasSource
	hasSource  bool
	kind       cursor.Kind // of its version
	unreadable bool        // its version or its incremental field, which is there
	deleted    bool        // it says that its key was deleted
	judged     bool        // reason and content are final
	field      int64       // value of the incremental field; written.Always: none
	id         uint64      // hash of the key
	content    uint64      // hash of the value
}
