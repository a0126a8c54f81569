package ingest

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/ingest/paginate"
)

// overlaps notes what pages of a pass have shown of each key, for as long as a page that was asked for beside them may
// come. Of two pages that were in flight at once and show a key with different contents, neither tells which is newer,
// and the one that is committed last would win: its position in the pass says nothing. So the one that comes later in
// the pass is asked for once more, after the answer to the other. Where records have a version, that decides, and
// nothing is noted. If that page has lost the key by then, the other is asked for once more, too; and if that does not
// show what was written any more, the pass walks over all pages once more, in turn.
type overlaps struct {
	shown map[uint64]sight // by the hash of the key
	pages []noted          // in order
	first int              // number of the first of pages
	most  int              // pages
	all   *atomic.Int64    // keys, of all passes of the process
	spare []uint64         // ids of a page that was forgotten: memory for those of the next
}

// sight is what was shown of a key last, and by which page.
type sight struct {
	content uint64
	page    int
}

// noted is a page of which the keys are noted.
type noted struct {
	at       paginate.Position
	received time.Time // when its answer was there
	ids      []uint64  // hashes of the keys
}

// mostOverlapping bounds the keys that a process notes, about 100 bytes each. Beyond, a pass forgets the pages that it
// asked for first.
const mostOverlapping = 1 << 18

// newOverlaps is for n requests in flight; all counts the keys of the process. It has to be closed.
func newOverlaps(n int, all *atomic.Int64) *overlaps {
	return &overlaps{shown: map[uint64]sight{}, most: (window + 1) * n, all: all}
}

func (o *overlaps) close() {
	for len(o.pages) > 0 {
		o.forget()
	}
}

// disagree are the keys that p shows otherwise than a page before it in the pass, whose answer came after p was asked
// for. With each comes what that page showed.
func (o *overlaps) disagree(p *page) (differ map[uint64]sight) {
	for i := range p.records {
		rec := &p.records[i]
		if seen, ok := o.shown[rec.id]; ok && seen.content != rec.content && o.page(seen.page).received.After(p.sent) {
			if differ == nil {
				differ = map[uint64]sight{}
			}
			differ[rec.id] = seen
		}
	}
	return differ
}

// page is a page that is noted, as those are that keys in shown name.
func (o *overlaps) page(number int) *noted { return &o.pages[number-o.first] }

// note takes the next page of the pass in. Of a page whose records are not held, nothing is.
func (o *overlaps) note(p *page) {
	ids := slices.Grow(o.spare[:0], len(p.records))
	o.spare = nil
	for i := range p.records {
		rec := &p.records[i]
		ids = append(ids, rec.id)
		o.shown[rec.id] = sight{rec.content, o.first + len(o.pages)}
	}
	o.pages = append(o.pages, noted{p.at, p.received, ids})
	o.all.Add(int64(len(ids)))
	for len(o.pages) > o.most || o.all.Load() > mostOverlapping && len(o.pages) > 1 {
		o.forget()
	}
}

// forget forgets the page that was noted first.
func (o *overlaps) forget() {
	for _, id := range o.pages[0].ids {
		if o.shown[id].page == o.first {
			delete(o.shown, id)
		}
	}
	o.all.Add(-int64(len(o.pages[0].ids)))
	o.spare = o.pages[0].ids
	o.pages, o.first = o.pages[1:], o.first+1
}
