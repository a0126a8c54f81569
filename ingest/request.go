package ingest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/pipeline"
)

// withParam is u with one parameter set.
func withParam(u *url.URL, name, value string) *url.URL {
	c := *u
	q := c.Query()
	q.Set(name, value)
	c.RawQuery = q.Encode()
	return &c
}

// asking is what a hash takes in the place of a cursor.
const asking = "{cursor}"

// requestHash names what is asked for in the pass of c, and how its pages are. It does not depend on the value of a
// secret: the name of its reference stands for it.
func (s *slice) requestHash(c cursor.Cursor) string {
	if s.stream.Ingest.Events != nil {
		return s.eventsHash()
	}
	values := request.Values{pipeline.PlaceCursor: request.Text(asking), pipeline.PlaceLimit: request.Text("{limit}")}
	r, err := s.asks(c, values)
	if err != nil {
		return err.Error()
	}
	u := *r.URL
	u.User = nil
	asked := append([]string{u.String()}, s.pager.Identity()...)
	if s.stream.Ingest.Method != "" || r.Body != nil {
		asked = append(asked, r.Method, r.Type, string(r.Body))
	}
	for name, value := range s.stream.Ingest.HTTP.Headers {
		text := value.Reveal()
		if list, placed := r.Header[http.CanonicalHeaderKey(name)]; placed {
			text = strings.Join(list, ",")
		}
		asked = append(asked, name+": "+text)
	}
	slices.Sort(asked[1+len(s.pager.Identity()):])
	return fmt.Sprintf("%016x", xxh3.HashString(s.client.Name(strings.Join(asked, "\n"))))
}

// checkRequest reports whether the requests of a slice can be made.
func checkRequest(in *pipeline.Ingest, slice string) error {
	t, err := request.New(in, strings.TrimPrefix(slice, deletionsPrefix))
	if err != nil {
		return err
	}
	values := request.Values{
		pipeline.PlaceCursor: request.Integer(1), pipeline.PlaceLimit: request.Integer(1), pipeline.PlaceSince: request.Integer(1),
		pipeline.PlaceUntil: request.Integer(2),
	}
	for name := range in.ParentFields() {
		values[name] = request.Integer(1)
	}
	_, err = t.Fill(values)
	return err
}

// asks is the request with what is asked for in the pass of c. values has what stands for a page.
func (s *slice) asks(c cursor.Cursor, values request.Values) (*request.Request, error) {
	i := s.stream.Ingest.Incremental
	if i == nil {
		return s.template.Fill(values)
	}
	since := i.Start
	if c.Since != nil && !c.Whole {
		since, _ = s.reader.scale.Ask(*c.Since, c.Form)
	}
	until := ""
	switch w := i.Window; {
	case w == nil:
	case c.Until != nil:
		since, until = s.reader.scale.Bounds(cursor.Span{From: *c.Since, To: *c.Until}, c.Form, w.Bounds == "exclusive", w.Bounds == "days")
		values[pipeline.PlaceUntil] = request.Digits(until)
	default:
		values[pipeline.PlaceUntil] = request.Digits(s.reader.scale.Ahead(c.Started, c.Form))
	}
	values[pipeline.PlaceSince] = request.Digits(since)
	r, err := s.template.Fill(values)
	if err != nil {
		return nil, err
	}
	if i.Param != "" && since != "" {
		r = r.At(withParam(r.URL, i.Param, since))
	}
	if until != "" && i.Window.Param != "" {
		r = r.At(withParam(r.URL, i.Window.Param, until))
	}
	return r, nil
}

// request is the one for the page at a position in the pass of c.
func (s *slice) request(c cursor.Cursor, at paginate.Position) (*request.Request, error) {
	r, err := s.asks(c, s.pager.Stands(at))
	if err != nil {
		return nil, err
	}
	u, err := s.pager.URL(r.URL, at)
	if err != nil {
		return nil, err
	}
	return r.At(u), nil
}

// fetch gets one page, which must be closed.
func (s *slice) fetch(ctx context.Context, c cursor.Cursor, at paginate.Position) (*page, error) {
	if s.jobs != nil {
		return s.ofJob(ctx, c, at)
	}
	r, err := s.request(c, at)
	if err != nil {
		return nil, err
	}
	r = s.ask(r, c, at)
	p := &page{slice: s, at: at, asked: r.URL, url: s.client.Redactor().URL(r.URL), sent: time.Now()}
	check := func(a *fetch.Answer) error { return s.reader.read(a, p) }
	if _, err := s.client.Do(ctx, r, check, s.pastEnd(at)...); err != nil {
		s.hintAtEnd(err, at)
		return nil, err
	}
	p.received = time.Now()
	return p, nil
}
