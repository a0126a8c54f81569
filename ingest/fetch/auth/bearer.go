package auth

import (
	"net/http"

	"github.com/millrace-io/millrace/pipeline"
)

// bearer is a token in the Authorization header (RFC 6750, section 2.1).
type bearer struct{ token pipeline.Secret }

func newBearer(h pipeline.HTTP) Kind {
	if h.Auth.Bearer == "" {
		return nil
	}
	return bearer{h.Auth.Bearer}
}

func (b bearer) Apply(req *http.Request) { req.Header.Set("Authorization", "Bearer "+b.token.Reveal()) }

func (b bearer) Strip(h http.Header) { h.Del("Authorization") }

func (b bearer) Param() string { return "" }

func (b bearer) Secrets() []string { return []string{b.token.Reveal()} }
