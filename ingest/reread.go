package ingest

import (
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
)

// A read that two processes have made tells nothing: the second had no marks of the first pages. So it is made once
// more. A child is fetched when its record changes, which may be never again; so where its last complete read does not
// tell what is gone, it is read once more without that, also after a while where keys may have slipped between its
// pages, and when a person has allowed that what was too much goes.

// tear notes at the end of a pass that it does not tell what is gone, as this process has no marks of its first pages.
// Another pass does, which must not depend on there being a next one: a stream may be read once, and a child only when
// its record changes.
func (s *slice) tear(p *page) {
	if !p.after.Done {
		return
	}
	torn := *newKnown(&s.stream.Ingest, p.before)
	torn.Torn = true
	p.known = &torn
}

// torn reports whether a complete read ends with the page that does not tell what is gone, and is to be made once more.
func (p *page) torn() bool { return p.known != nil && p.known.Torn }

// rereads is why a child is read once more.
type rereads struct {
	torn     bool
	slipping int64 // complete reads in a row that were not confirmed; 0: nothing is left of the last one
	held     int64 // the complete read that has left too much, for a person to decide; 0: none
}

// rereads is what the cursor says of that.
func (f *feed) rereads(c cursor.Cursor) (r rereads) {
	if f.stream.Ingest.Deletes == nil || c.Known == nil {
		return r
	}
	r.torn = c.Torn()
	if c.Left() {
		r.slipping = max(c.Known.Slipping, 1)
	}
	if c.Known.Held != nil {
		r.held = c.Known.Held.Since
	}
	return r
}

// readAgain says when the child is to be read once more; ok is false if it is not.
func (c *child) readAgain() (at time.Time, ok bool) {
	r := c.rereads
	switch {
	case r.torn:
		return time.Now(), true
	case r.slipping > 0:
		at = c.began.Add(c.feed.retryAfter(int(r.slipping)))
	case r.held > 0 && c.feed.allows(c, r.held):
		at = c.began.Add(c.feed.retryAfter(1))
	default:
		return time.Time{}, false
	}
	latest := time.Now().Add(max(c.feed.stream.Ingest.HTTP.Retry.Max, longRetry)) // a clock may have been set back
	if at.After(latest) {
		at = latest
	}
	return at, true
}

// allows reports whether a person has allowed to delete what was held of a child since a complete read.
func (f *feed) allows(c *child, since int64) bool {
	a, ok := f.in.decisions.view.Stream(f.stream.Name).Deletes[c.key()]
	return ok && a.Since == since
}
