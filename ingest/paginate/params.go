package paginate

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// paramsOf is the query of a URL: of all that it says, what is put into the request for the next page.
func paramsOf(next string) (string, error) {
	u, err := parseKept(next)
	switch {
	case err != nil:
		return "", err
	case u.RawQuery == "":
		return "", errors.New("the next page's URL has no parameters")
	}
	return u.RawQuery, nil
}

// merged is u with the parameters of a query in the place of its own of the same names.
func merged(u *url.URL, query string) (*url.URL, error) {
	added, err := url.ParseQuery(query)
	if err != nil {
		return nil, errMalformed
	}
	c := *u
	q := c.Query()
	maps.Copy(q, added)
	c.RawQuery = q.Encode()
	return &c, nil
}

// takeParam is the value of a parameter in the query of a URL.
func takeParam(next, name string) (string, error) {
	u, err := url.Parse(escape(next))
	if err != nil {
		return "", errMalformed
	}
	value := u.Query().Get(name)
	if value == "" {
		return "", fmt.Errorf("the next page's URL has no parameter %s (paginate.cursor.take)", name)
	}
	return value, nil
}

// membersOf writes the members of an object, single values, as a query.
func membersOf(v jsontext.Value) (string, error) {
	q := url.Values{}
	dec := jsontext.NewDecoder(strings.NewReader(string(v)))
	if _, err := dec.ReadToken(); err != nil {
		return "", err
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return "", err
		}
		key := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return "", err
		}
		text, _, err := valueText(value)
		if err != nil {
			return "", fmt.Errorf("the member %q of the cursor: %w", key, err)
		}
		q.Set(key, text)
	}
	return q.Encode(), nil
}
