package auth

import (
	"net/http"
	"net/url"

	"github.com/millrace-io/millrace/pipeline"
)

// apiKey is a key in a header, in a parameter of the query, or in both.
type apiKey struct{ k *pipeline.APIKey }

func newAPIKey(h pipeline.HTTP) Kind {
	if h.Auth.APIKey == nil || len(h.Auth.APIKey.Values) > 0 {
		return nil
	}
	return apiKey{h.Auth.APIKey}
}

func (a apiKey) Apply(req *http.Request) {
	if a.k.Param != "" {
		pair := url.QueryEscape(a.k.Param) + "=" + url.QueryEscape(a.k.Value.Reveal())
		if req.URL.RawQuery != "" {
			pair = req.URL.RawQuery + "&" + pair
		}
		req.URL.RawQuery = pair
	}
	if a.k.Header != "" {
		req.Header.Set(a.k.Header, a.k.Value.Reveal())
	}
}

func (a apiKey) Strip(h http.Header) {
	if a.k.Header != "" {
		h.Del(a.k.Header)
	}
}

func (a apiKey) Param() string { return a.k.Param }

func (a apiKey) Secrets() []string { return []string{a.k.Value.Reveal()} }
