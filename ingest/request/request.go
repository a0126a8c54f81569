package request

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/pipeline"
)

// Request is one request, but for the credentials. It is read-only once it is made.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header // that depend on the page, beside those of the pipeline file; one without a value is not sent
	Body   []byte      // nil: none
	Type   string      // Content-Type of Body
}

// Get is a request for a URL.
func Get(u *url.URL) *Request { return &Request{Method: http.MethodGet, URL: u} }

// At is r with another URL.
func (r *Request) At(u *url.URL) *Request {
	c := *r
	c.URL = u
	return &c
}

// Template is what the requests of a slice have in common. It is read-only and may be used concurrently.
type Template struct {
	in     *pipeline.Ingest
	base   *url.URL // without path and query of the stream
	known  map[string]bool
	slice  map[string]string // values of the lists
	parent Values            // fields of the record that requests are made from
	placed map[string]string // headers that hold placeholders
	fixed  *url.URL          // of all requests; nil: placeholders are in it, or it is malformed
}

// ErrNothing says that a placeholder in a path, which cannot be left out, stands for nothing.
var ErrNothing = errors.New("ingest.path holds a placeholder that stands for nothing here: give it a value for the first page; " +
	"of a child, its parent's record does not have the field")

// New returns the template of a slice. Its errors show no text that may hold a secret.
func New(in *pipeline.Ingest, slice string) (*Template, error) {
	u, err := url.Parse(in.HTTP.BaseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("http.base_url is not an absolute http or https URL")
	}
	u.Fragment = ""
	t := &Template{in: in, base: u, slice: in.SliceValues(slice), known: in.Placeholders(), placed: map[string]string{}}
	for name, value := range in.HTTP.Headers {
		if text := value.Reveal(); slices.ContainsFunc(pipeline.PlaceholdersIn(text), func(n string) bool { return t.known[n] }) {
			t.placed[http.CanonicalHeaderKey(name)] = text
		}
	}
	if !t.placesInURL() {
		t.fixed, _ = t.url(filler{}) // Fill tells the error
	}
	return t, nil
}

// placesInURL reports whether the URL depends on what placeholders stand for.
func (t *Template) placesInURL() bool {
	texts := append(slices.Concat(slices.Collect(maps.Values(t.in.Query))...), t.in.Path)
	return slices.ContainsFunc(texts, func(text string) bool {
		return slices.ContainsFunc(pipeline.PlaceholdersIn(text), func(name string) bool { return t.known[name] })
	})
}

// Of is t for a child: parent has the fields of the record that its requests are made from, by placeholder.
func (t *Template) Of(parent Values) *Template {
	c := *t
	c.parent = parent
	return &c
}

// filler fills in values, and what stands for the same in all requests of the slice.
func (t *Template) filler(values Values) filler {
	f := filler{known: t.known, values: Values{}}
	maps.Copy(f.values, values)
	maps.Copy(f.values, t.parent)
	for name, value := range t.slice {
		f.values[name] = Text(value)
	}
	return f
}

// Added is the beginning of a JSON object that has the fields which each record of the slice is given: {"a":1,"b":"x".
// It is nil if there are none. One whose placeholder stands for nothing is left out.
func (t *Template) Added() ([]byte, error) {
	f := t.filler(nil)
	var b []byte
	for _, a := range t.in.Add {
		quoted, err := jsontext.AppendQuote(nil, a.Text)
		if err != nil {
			return nil, fmt.Errorf("ingest.add.%s: %w", a.Name, err)
		}
		value, ok, err := f.json(nil, quoted)
		if err != nil {
			return nil, fmt.Errorf("ingest.add.%s: %w", a.Name, err)
		}
		if !ok {
			continue
		}
		if b == nil {
			b = append(b, '{')
		} else {
			b = append(b, ',')
		}
		if b, err = jsontext.AppendQuote(b, a.Name); err != nil {
			return nil, fmt.Errorf("ingest.add: %w", err)
		}
		b = append(append(b, ':'), value...)
	}
	return b, nil
}

// Fill makes a request with what the placeholders stand for.
func (t *Template) Fill(values Values) (*Request, error) {
	r := &Request{Method: t.method()}
	if t.fixed != nil && len(t.placed) == 0 && t.in.Body == nil {
		u := *t.fixed
		r.URL = &u
		return r, nil
	}
	f := t.filler(values)
	var err error
	if r.URL, err = t.url(f); err != nil {
		return nil, err
	}
	for name, text := range t.placed {
		if r.Header == nil {
			r.Header = http.Header{}
		}
		r.Header[name] = nil
		if value, ok := f.text(text, asIs); ok {
			if strings.ContainsAny(value, "\r\n\x00") {
				return nil, fmt.Errorf("the header %s cannot hold a line break", name)
			}
			r.Header[name] = []string{value}
		}
	}
	if t.in.Body != nil {
		if r.Body, r.Type, err = body(t.in.Body, f); err != nil {
			return nil, fmt.Errorf("ingest.body: %w", err)
		}
	}
	return r, nil
}

func (t *Template) method() string {
	switch {
	case t.in.Method != "":
		return t.in.Method
	case t.in.Body != nil:
		return http.MethodPost
	}
	return http.MethodGet
}

func (t *Template) url(f filler) (*url.URL, error) {
	u := *t.base
	path, query, _ := strings.Cut(t.in.Path, "?")
	if path != "" {
		filled, ok := f.text(path, url.PathEscape)
		if !ok {
			return nil, ErrNothing
		}
		p, err := url.Parse(strings.TrimRight(u.EscapedPath(), "/") + "/" + strings.TrimLeft(filled, "/"))
		if err != nil {
			return nil, errors.New("ingest.path is not the path of a URL") // the error of net/url would quote it
		}
		u.Path, u.RawPath = p.Path, p.RawPath
	}
	if query != "" {
		filled, _ := f.text(query, url.QueryEscape)
		u.RawQuery = strings.TrimLeft(u.RawQuery+"&"+filled, "&")
	}
	if len(t.in.Query) > 0 {
		q := u.Query()
		for name, list := range t.in.Query {
			q.Del(name)
			for _, text := range list {
				if value, ok := f.text(text, asIs); ok {
					q.Add(name, value)
				}
			}
		}
		u.RawQuery = q.Encode()
	}
	return &u, nil
}
