package auth

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/millrace-io/millrace/pipeline"
)

// Kind is one kind of credentials. It may be used concurrently.
type Kind interface {
	// Apply puts the credentials into a request to the API's own host.
	Apply(req *http.Request)

	// Strip takes off the headers what Apply put there: the request goes to another host.
	Strip(h http.Header)

	// Param is the parameter of the query that Apply sets; empty: none.
	Param() string

	// Secrets are the texts that must never be shown.
	Secrets() []string
}

// All are the credentials of one API. They are read-only and may be used concurrently.
type All []Kind

// For returns the credentials in h, in the order in which they are applied: a later one replaces a header of an
// earlier.
func For(h pipeline.HTTP) All {
	var all All
	for _, kind := range []func(pipeline.HTTP) Kind{ // each returns nil if it is not asked for
		newHeaders,
		newBearer,
		newBasic,
		newAPIKey,
		newSent,
		newUserInfo,
		newSigV4,
	} {
		if k := kind(h); k != nil {
			all = append(all, k)
		}
	}
	return all
}

// Apply puts all credentials into a request to the API's own host.
func (a All) Apply(req *http.Request) {
	for _, k := range a {
		k.Apply(req)
	}
}

// ApplyHeaders puts the credentials that are headers into h, where it has none of that name. ctx is that of the
// request.
func (a All) ApplyHeaders(ctx context.Context, h http.Header) {
	req := (&http.Request{URL: &url.URL{}, Header: http.Header{}}).WithContext(ctx)
	a.Apply(req)
	for name, values := range req.Header {
		if h.Values(name) == nil {
			h[name] = values
		}
	}
}

// Strip takes all credentials off the headers of a request that goes to another host: net/http knows only of some
// headers that they are secret.
func (a All) Strip(h http.Header) {
	h.Del("Authorization")
	for _, k := range a {
		k.Strip(h)
	}
}

// StripURL is u without user and password and the parameters that hold credentials, so that it can be kept. u itself
// stays as it is.
func (a All) StripURL(u *url.URL) *url.URL {
	if u.User != nil {
		s := *u
		s.User = nil
		u = &s
	}
	for _, param := range a.Params() {
		q := u.Query()
		if !q.Has(param) {
			continue
		}
		s := *u
		q.Del(param)
		s.RawQuery = q.Encode()
		u = &s
	}
	return u
}

// Params are the parameters of the query whose values are secret.
func (a All) Params() []string {
	var params []string
	for _, k := range a {
		if p := k.Param(); p != "" {
			params = append(params, p)
		}
	}
	return params
}

// Secrets are the texts that must never be shown.
func (a All) Secrets() []string {
	var secrets []string
	for _, k := range a {
		secrets = slices.Concat(secrets, k.Secrets())
	}
	return secrets
}
