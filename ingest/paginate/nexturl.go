package paginate

import (
	"errors"
	"fmt"
	"net/url"
)

var errMalformed = errors.New("the next page's URL is malformed") // the error of net/url would quote it

// resolve makes of what a page gives as the URL of the next one a URL that can be kept in a position: absolute and
// without credentials.
func resolve(page *Page, next string) (string, error) {
	u, err := url.Parse(next)
	if err != nil {
		return "", errMalformed
	}
	u = page.URL.ResolveReference(u)
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("the next page's URL is not one of HTTP: scheme %q", u.Scheme)
	}
	u.Fragment = ""
	if page.Strip != nil {
		u = page.Strip(u)
	}
	return u.String(), nil
}

// parseKept reads what [resolve] made.
func parseKept(kept string) (*url.URL, error) {
	u, err := url.Parse(kept)
	if err != nil {
		return nil, errMalformed
	}
	return u, nil
}
