package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/pipeline"
)

// resource is the URL of a slice's pages without what a pass and a page add to it.
func resource(in *pipeline.Ingest, slice string) (*url.URL, error) {
	u, err := url.Parse(in.HTTP.BaseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("http.base_url is not an absolute http or https URL") // its text may hold a password
	}
	fill := func(text string, escape func(string) string) string {
		if in.Slices == nil {
			return text
		}
		return strings.ReplaceAll(text, "{"+in.Slices.Name+"}", escape(slice))
	}
	path, query, _ := strings.Cut(in.Path, "?")
	if path != "" {
		p, err := url.Parse(strings.TrimRight(u.EscapedPath(), "/") + "/" + strings.TrimLeft(fill(path, url.PathEscape), "/"))
		if err != nil {
			return nil, fmt.Errorf("ingest.path: %w", err)
		}
		u.Path, u.RawPath = p.Path, p.RawPath
	}
	if query = fill(query, url.QueryEscape); query != "" {
		u.RawQuery = strings.TrimLeft(u.RawQuery+"&"+query, "&")
	}
	if len(in.Query) > 0 {
		q := u.Query()
		for name, value := range in.Query {
			q.Set(name, fill(value, func(s string) string { return s }))
		}
		u.RawQuery = q.Encode()
	}
	u.Fragment = ""
	return u, nil
}

// withParam is u with one parameter set.
func withParam(u *url.URL, name, value string) *url.URL {
	c := *u
	q := c.Query()
	q.Set(name, value)
	c.RawQuery = q.Encode()
	return &c
}

// requestHash names what is asked for, and how its pages are.
func requestHash(u *url.URL, pager paginate.Pager) string {
	c := *u
	c.User = nil
	asked := append([]string{c.String()}, pager.Identity()...)
	return fmt.Sprintf("%016x", xxh3.HashString(strings.Join(asked, "\n")))
}

// sliceValues are the slices of a stream; one, named "", if it is not cut.
func sliceValues(in *pipeline.Ingest) []string {
	if in.Slices == nil {
		return []string{""}
	}
	return slices.Clone(in.Slices.Values)
}

// request changes when the positions of c's pass would mean something else.
func (s *slice) request(c cursor.Cursor) string {
	return requestHash(s.asks(c), s.pager)
}

// url is the page at a position in the pass of c.
func (s *slice) url(c cursor.Cursor, at paginate.Position) (*url.URL, error) {
	return s.pager.URL(s.asks(c), at)
}

// asks is the resource with what is asked for in the pass of c.
func (s *slice) asks(c cursor.Cursor) *url.URL {
	i := s.stream.Ingest.Incremental
	switch {
	case i == nil || i.Param == "":
		return s.base
	case c.Since != nil:
		value, _ := s.reader.scale.Ask(*c.Since, c.Form)
		return withParam(s.base, i.Param, value)
	case i.Start != "":
		return withParam(s.base, i.Param, i.Start)
	default:
		return s.base
	}
}

// fetch gets one page, which must be closed.
func (s *slice) fetch(ctx context.Context, c cursor.Cursor, at paginate.Position) (*page, error) {
	u, err := s.url(c, at)
	if err != nil {
		return nil, err
	}
	p := &page{slice: s, at: at, asked: u, url: s.client.Redactor().URL(u)}
	check := func(a *fetch.Answer) error { return s.reader.read(a, p) }
	if _, err := s.client.Get(ctx, u, check, s.pastEnd(at)...); err != nil {
		s.hintAtEnd(err, at)
		return nil, err
	}
	return p, nil
}
