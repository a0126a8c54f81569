package auth

import (
	"net/http"

	"github.com/millrace-io/millrace/pipeline"
)

// headers are sent as they are configured. Any of them may be a secret.
type headers map[string]pipeline.Secret

func newHeaders(h pipeline.HTTP) Kind {
	if len(h.Headers) == 0 {
		return nil
	}
	return headers(h.Headers)
}

func (hs headers) Apply(req *http.Request) {
	for name, value := range hs {
		req.Header.Set(name, value.Reveal())
	}
}

func (hs headers) Strip(h http.Header) {
	for name := range hs {
		h.Del(name)
	}
}

func (hs headers) Param() string { return "" }

func (hs headers) Secrets() []string {
	var secrets []string
	for _, v := range hs {
		secrets = append(secrets, v.Reveal())
	}
	return secrets
}
