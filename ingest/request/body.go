package request

import (
	"net/url"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/pipeline"
)

// The media types of bodies.
const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
	typeText = "text/plain; charset=utf-8"
)

// Body is the body of requests that have no placeholders, and its Content-Type; empty: there is none.
func Body(in *pipeline.Ingest) (content []byte, kind string, err error) {
	if in.Body == nil {
		return nil, "", nil
	}
	return body(in.Body, filler{})
}

// body writes a body with its placeholders filled in, and says what it is.
func body(b *pipeline.Body, f filler) (content []byte, kind string, err error) {
	switch {
	case b.GraphQL != "":
		kind = typeJSON
		content, err = graphQL(b, f)
	case b.JSON != nil:
		kind = typeJSON
		content, _, err = f.json(nil, b.JSON)
	case b.Form != nil:
		kind = typeForm
		form := url.Values{}
		for name, list := range b.Form {
			for _, text := range list {
				if value, ok := f.text(text, asIs); ok {
					form.Add(name, value)
				}
			}
		}
		content = []byte(form.Encode())
	default:
		kind = typeText
		text, _ := f.text(b.Text, asIs)
		content = []byte(text)
	}
	if b.Type != "" {
		kind = b.Type
	}
	return content, kind, err
}

// graphQL is the body of a GraphQL request over HTTP. Braces are part of its language, so that the query is sent as it
// is; its variables take the placeholders.
func graphQL(b *pipeline.Body, f filler) ([]byte, error) {
	content := []byte(`{"query":`)
	content, err := jsontext.AppendQuote(content, b.GraphQL)
	if err != nil {
		return nil, err
	}
	if b.JSON != nil {
		content = append(content, `,"variables":`...)
		if content, _, err = f.json(content, b.JSON); err != nil {
			return nil, err
		}
	}
	return append(content, '}'), nil
}
