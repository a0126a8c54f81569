package auth

import (
	"encoding/base64"
	"net/http"

	"github.com/millrace-io/millrace/pipeline"
)

// basic is a user and a password (RFC 7617).
type basic struct{ b *pipeline.Basic }

func newBasic(h pipeline.HTTP) Kind {
	if h.Auth.Basic == nil {
		return nil
	}
	return basic{h.Auth.Basic}
}

func (b basic) Apply(req *http.Request) { req.SetBasicAuth(b.b.Username, b.b.Password.Reveal()) }

func (basic) Strip(h http.Header) { h.Del("Authorization") }

func (basic) Param() string { return "" }

// Secrets are the password, and both as they are sent: an API may give back the header.
func (b basic) Secrets() []string {
	pair := b.b.Username + ":" + b.b.Password.Reveal()
	return []string{b.b.Password.Reveal(), base64.StdEncoding.EncodeToString([]byte(pair))}
}
