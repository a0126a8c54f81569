package probe

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/internal/infer"
)

// DocumentError says that what was asked for is the description of an API (OpenAPI, or Swagger before it), not records.
type DocumentError struct {
	Endpoints []string // URLs that can be asked for with GET, each with what the document says of it behind two blanks
}

func (e *DocumentError) Error() string {
	return fmt.Sprintf("this describes an API; ask for one of its %d resources:\n  %s", len(e.Endpoints), strings.Join(e.Endpoints, "\n  "))
}

// Document reads the resources of a description in a file, JSON or YAML; nil: it is none. Where the description does
// not say on which host its API is, they begin with a path.
func Document(data []byte) *DocumentError {
	v := jsontext.Value(data)
	if !isJSON(v) {
		v = fromYAML(data)
	}
	e, _ := errors.AsType[*DocumentError](document(v, &url.URL{}))
	return e
}

// document reads the resources of a description; nil: it is none. A path with a parameter has to be filled in by a
// person.
func document(body jsontext.Value, at *url.URL) error {
	paths := infer.Value(body, []string{"paths"})
	if paths.Kind() != '{' || infer.Value(body, []string{"openapi"}) == nil && infer.Value(body, []string{"swagger"}) == nil {
		return nil
	}
	base := strings.ReplaceAll(strings.ReplaceAll(serverOf(body, at), "%7B", "{"), "%7D", "}")
	e := &DocumentError{}
	eachMember(paths, func(path string, item jsontext.Value) {
		get := infer.Value(item, []string{"get"})
		if get.Kind() != '{' {
			return
		}
		line := strings.TrimSuffix(base, "/") + path
		if says := infer.Value(get, []string{"summary"}); says.Kind() == '"' {
			line += "  " + shortened(infer.Text(says), 80)
		}
		e.Endpoints = append(e.Endpoints, line)
	})
	return e
}

// serverOf is where the API is, as its description says.
func serverOf(body jsontext.Value, at *url.URL) string {
	if servers := infer.Value(body, []string{"servers"}); servers.Kind() == '[' {
		for _, s := range elementsOf(servers) {
			text := infer.Text(infer.Value(s, []string{"url"}))
			if u, err := at.Parse(text); err == nil && text != "" {
				return u.String()
			}
		}
	}
	host, base := infer.Value(body, []string{"host"}), infer.Value(body, []string{"basePath"})
	u := url.URL{Scheme: at.Scheme, Host: at.Host}
	if host.Kind() == '"' {
		u.Host = infer.Text(host)
	}
	if u.Scheme == "" && u.Host != "" {
		u.Scheme = "https"
	}
	if base.Kind() == '"' {
		u.Path = infer.Text(base)
	}
	return u.String()
}
