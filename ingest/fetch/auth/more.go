package auth

import (
	"bytes"
	"io"
	"net/http"
	"net/url"

	"github.com/millrace-io/millrace/pipeline"
)

// more adds parameters to token requests, whose body is a form.
type more struct {
	next   http.RoundTripper
	params map[string]pipeline.Secret
}

// RoundTrip is that of [http.RoundTripper].
func (m more) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	_ = req.Body.Close()
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	for name, value := range m.params {
		form.Set(name, value.Reveal())
	}
	text := []byte(form.Encode())
	c := req.Clone(req.Context())
	c.Body, c.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return m.next.RoundTrip(c)
}
