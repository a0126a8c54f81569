package fetch

import (
	"net/url"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/ingest/fetch/auth"
)

const hidden = "[secret]"

// Redactor hides the secrets of one API. It is read-only and may be used concurrently.
type Redactor struct {
	params   []string // of the query, lower case: their values are secrets
	replacer *strings.Replacer
}

// Well-known names of parameters that hold secrets, which an API may have put into the URL of a next page.
var secretParams = []string{
	"access_token", "api-key", "api_key", "apikey", "auth_token", "client_secret", "password", "secret", "sig",
	"signature",
	"x-amz-credential", "x-amz-security-token", "x-amz-signature",
}

// NewRedactor knows the secrets among the credentials.
func NewRedactor(credentials auth.All) *Redactor {
	r := &Redactor{params: slices.Clone(secretParams)}
	for _, param := range credentials.Params() {
		r.params = append(r.params, strings.ToLower(param))
	}
	var pairs []string
	for _, s := range credentials.Secrets() {
		if len(s) < minSecret {
			continue
		}
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s)} {
			pairs = append(pairs, form, hidden)
		}
	}
	r.replacer = strings.NewReplacer(pairs...)
	return r
}

// minSecret is the length below which a header's value is not looked for in texts: "1" is not a secret.
const minSecret = 4

// Text hides the secrets in text.
func (r *Redactor) Text(text string) string { return r.replacer.Replace(text) }

// URL is u without user, password and the values of secret parameters.
func (r *Redactor) URL(u *url.URL) string {
	c := *u
	c.User = nil
	if c.RawQuery != "" {
		pairs := strings.Split(c.RawQuery, "&")
		for i, pair := range pairs {
			name, _, _ := strings.Cut(pair, "=")
			plain, err := url.QueryUnescape(name)
			if err != nil {
				plain = name
			}
			if slices.Contains(r.params, strings.ToLower(plain)) {
				pairs[i] = name + "=" + hidden
			}
		}
		c.RawQuery = strings.Join(pairs, "&")
	}
	return r.Text(c.String())
}
