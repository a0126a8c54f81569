package paginate

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

var errMalformed = errors.New("the next page's URL is malformed") // the error of net/url would quote it

// resolve makes of what a page gives as the URL of the next one a URL that can be kept in a position: absolute and
// without credentials.
func resolve(page *Page, next string) (string, error) {
	u, err := url.Parse(escape(next))
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

// escape writes what cannot stand in a URL as browsers do: blanks, signs and letters beyond ASCII as %XX, a % that
// begins no such escape as %25; line breaks and tabs are dropped, and blanks around it.
func escape(next string) string {
	next = strings.TrimFunc(next, func(r rune) bool { return r <= ' ' })
	next = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(next)
	var b strings.Builder
	for i := range len(next) {
		switch c := next[i]; {
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>`{}|\\^", c) >= 0, c == '%' && !isEscape(next[i:]):
			_, _ = fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isEscape(s string) bool {
	_, err := url.PathUnescape(s[:min(len(s), 3)])
	return err == nil
}

// parseKept reads what [resolve] made.
func parseKept(kept string) (*url.URL, error) {
	u, err := url.Parse(kept)
	if err != nil {
		return nil, errMalformed
	}
	return u, nil
}
