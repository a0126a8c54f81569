package fetch

import (
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/millrace-io/millrace/ingest/fetch/auth"
	"github.com/millrace-io/millrace/internal/redact"
	"github.com/millrace-io/millrace/pipeline"
)

// Redactor hides the secrets of one API. It may be used concurrently.
type Redactor struct {
	params  []string // of the query, lower case: their values are secrets
	secrets *redact.Secrets
	tokens  atomic.Pointer[tokens]
}

// tokens are those that were shown to the API lately.
type tokens struct {
	texts   []string
	secrets *redact.Secrets
}

// mostTokens is how many of them are known: answers to those before have come long since.
const mostTokens = 16

// learn hides a token from now on.
func (r *Redactor) learn(token string) {
	for {
		now := r.tokens.Load()
		var texts []string
		if now != nil {
			texts = now.texts
		}
		if slices.Contains(texts, token) {
			return
		}
		texts = append([]string{token}, texts[:min(len(texts), mostTokens-1)]...)
		if r.tokens.CompareAndSwap(now, &tokens{texts, redact.New(texts...)}) {
			return
		}
	}
}

// Well-known names of parameters that hold secrets, which an API may have put into the URL of a next page.
var secretParams = []string{
	"access_token", "api-key", "api_key", "apikey", "auth_token", "client_secret", "password", "secret", "sig",
	"signature",
	"x-amz-credential", "x-amz-security-token", "x-amz-signature",
}

// NewRedactor knows the secrets of the pipeline file, and those among the credentials.
func NewRedactor(h pipeline.HTTP, credentials auth.All) *Redactor {
	r := &Redactor{params: slices.Clone(secretParams)}
	for _, param := range credentials.Params() {
		r.params = append(r.params, strings.ToLower(param))
	}
	var texts []string
	for _, s := range h.Secrets {
		texts = append(texts, s.Value.Reveal())
	}
	if h.Secrets == nil { // not loaded from a file
		texts = credentials.Secrets()
	}
	r.secrets = redact.New(texts...)
	return r
}

// Text hides the secrets in text.
func (r *Redactor) Text(text string) string {
	text = r.secrets.Text(text)
	if now := r.tokens.Load(); now != nil {
		text = now.secrets.Text(text)
	}
	return text
}

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
				pairs[i] = name + "=" + redact.Hidden
			}
		}
		c.RawQuery = strings.Join(pairs, "&")
	}
	return seals.ReplaceAllString(r.Text(c.String()), redact.Hidden)
}
