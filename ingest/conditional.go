package ingest

import (
	"net/http"
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/ingest/request"
)

// A pass of one page whose answer has a validator (RFC 9110, section 8.8) lets the next pass ask whether that page has
// changed. 304 says that it has not, and so that the pass has nothing new: the request costs next to nothing, and many
// APIs do not count it. It holds for a pass of one page alone: what follows a first page may change while that does
// not. And only where the body itself says whether another page follows: a Link header may change while the body does
// not.

// conditional reports whether the body of a page that has not changed says that no other follows it.
func (s *slice) conditional() bool {
	in := &s.stream.Ingest
	p := s.paging
	switch {
	case in.Method != "" && in.Method != http.MethodGet || in.Body != nil:
		return false
	case p.Auto, p.Link != nil, p.Cursor != nil && p.Cursor.Header != "":
		return false
	case p.Page != nil && p.Page.Stop.Header != "", p.Offset != nil && p.Offset.Stop.Header != "", p.Keyset != nil && p.Keyset.Stop.Header != "":
		return false
	}
	return true
}

// ask adds to the request for the first page of the pass of c what that page was when it was fetched last.
func (s *slice) ask(r *request.Request, c cursor.Cursor, at paginate.Position) *request.Request {
	if s.stream.Ingest.Deletes != nil && !c.Known.Settled() {
		return r
	}
	if at.Index != 0 || c.Validator == (cursor.Validator{}) || c.Validator.Of != c.Request {
		return r
	}
	h := r.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if v := c.Validator; v.ETag != "" {
		h.Set("If-None-Match", v.ETag)
	} else {
		h.Set("If-Modified-Since", v.Modified)
	}
	conditional := r.At(r.URL)
	conditional.Header = h
	return conditional
}

// fetched notes in c, the cursor after the last page of a pass, what the next pass may ask for, and whether all that
// the API shows came in this one.
func (s *slice) fetched(p *page, c cursor.Cursor) cursor.Cursor {
	if p.answer.Nothing == http.StatusNotModified {
		c.Validator.Of = s.validFor(c)
		return c
	}
	if p.at.From == "" {
		c.Fetched = c.Pass
	}
	c.Validator = cursor.Validator{}
	if p.at.Index > 0 || p.answer.PastEnd || !s.conditional() || p.flawed {
		return c
	}
	etag, modified := p.answer.Header.Get("ETag"), p.answer.Header.Get("Last-Modified")
	if etag == "" && !settled(p.answer.Header) {
		return c
	}
	if etag != "" {
		modified = ""
	}
	c.Validator = cursor.Validator{ETag: etag, Modified: modified, Of: s.validFor(c)}
	return c
}

// validFor names the request of the pass after c, of which a validator holds: since may be another.
func (s *slice) validFor(c cursor.Cursor) string { return s.begin(c, c.Started).Request }

// settled reports whether a Last-Modified is so old that what it names does not change within the second that it is
// rounded to (RFC 9110, section 8.8.2.2).
func settled(h http.Header) bool {
	modified, err1 := http.ParseTime(h.Get("Last-Modified"))
	date, err2 := http.ParseTime(h.Get("Date"))
	return err1 == nil && err2 == nil && date.Sub(modified) >= 2*time.Second
}
