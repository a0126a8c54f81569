package file

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/millrace-io/millrace/pipeline"
)

// leastKey is how long what encrypts tokens must be.
const leastKey = 32

// auth builds the credentials, and notes in setBy the headers that they set.
func (d *decoder) auth(f *authFile, setBy map[string]string) pipeline.Auth {
	var a pipeline.Auth
	if f.Bearer.set {
		setBy["Authorization"] = "auth.bearer"
		d.headerValues(&f.Bearer)
		a.Bearer, a.Bearers = f.Bearer.split()
	}
	if k := &f.APIKey.v; f.APIKey.ok {
		a.APIKey = &pipeline.APIKey{Header: k.Header.s, Param: k.Param.s}
		a.APIKey.Value, a.APIKey.Values = k.Value.split()
		if k.Header.ok {
			d.headerName(k.Header.place, k.Header.s)
			d.headerValues(&k.Value)
			setBy[http.CanonicalHeaderKey(k.Header.s)] = "auth.api_key"
		}
	}
	if b := &f.Basic.v; f.Basic.ok {
		setBy["Authorization"] = "auth.basic"
		a.Basic = &pipeline.Basic{Username: b.Username.s, Password: b.Password.v}
		if b.Username.ok && strings.Contains(b.Username.s, ":") {
			d.reportf(b.Username.place, "", "a user's name cannot hold a colon in basic authentication")
		}
	}
	if f.OAuth2.ok {
		setBy["Authorization"] = "auth.oauth2"
		a.OAuth2 = d.oauth2(&f.OAuth2.v)
	}
	if f.JWT.ok {
		setBy["Authorization"] = "auth.jwt"
		a.JWT = d.jwt(&f.JWT.v)
	}
	if f.AWS.ok {
		setBy["Authorization"] = "auth.aws"
		a.AWS = d.aws(&f.AWS.v)
	}
	if f.Login.ok {
		a.Login = d.login(&f.Login.v, setBy)
	}
	return a
}

func (d *decoder) headerValues(s *secrets) {
	for i := range s.list {
		d.headerValue(&s.list[i])
	}
}

func (d *decoder) oauth2(f *oauth2File) *pipeline.OAuth2 {
	o := &pipeline.OAuth2{
		TokenURL: f.TokenURL.s, ClientID: f.ClientID.s, ClientSecret: f.ClientSecret.v, InBody: f.ClientAuth.s == "body",
		RefreshToken: f.RefreshToken.v, Key: f.Key.v,
	}
	if f.Scopes.ok {
		o.Scopes = f.Scopes.strings()
	}
	for i := range f.Params.entries {
		if o.Params == nil {
			o.Params = map[string]pipeline.Secret{}
		}
		o.Params[f.Params.entries[i].name] = f.Params.entries[i].v.v
	}
	if u, err := url.Parse(o.TokenURL); f.TokenURL.ok && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil) {
		d.reportf(f.TokenURL.place, "write it as in https://auth.example.com/oauth/token", "%s is not an absolute http or https URL", d.urlShown(&f.TokenURL))
	}
	switch {
	case f.RefreshToken.set && !f.Key.set:
		d.reportf(f.RefreshToken.place, "set key: ${MILLRACE_TOKEN_KEY}, to 32 random characters or more",
			"refresh_token needs key: the API may give another token for it, which is kept, encrypted, in ingest's state topic")
	case f.Key.set && !f.RefreshToken.set:
		d.reportf(f.Key.place, "", "key encrypts refresh tokens, and there is none")
	case f.Key.ok && len(f.Key.v.Reveal()) < leastKey:
		d.reportf(f.Key.place, "make one with: openssl rand -hex 32", "the key has fewer than %d characters", leastKey)
	}
	return o
}

func (d *decoder) login(f *loginFile, setBy map[string]string) *pipeline.Login {
	l := &pipeline.Login{
		Path: f.Path.s, Method: f.Method.s, Body: d.body(&f.Body), Field: f.Field.fields, AnswerHeader: f.AnswerHeader.s, Cookie: f.Cookie.s,
		ExpiresIn: f.ExpiresIn.fields, Lifetime: f.Lifetime.d, Header: f.Header.s, Prefix: f.Prefix.s, Param: f.Param.s,
	}
	if f.Path.ok && !strings.HasPrefix(f.Path.s, "/") {
		d.reportf(f.Path.place, "write it as in /login", "%s does not begin with /", shown(f.Path.place))
	}
	switch {
	case f.Cookie.set:
		l.Header, l.Prefix = "Cookie", f.Cookie.s+"="
		if f.Header.set || f.Prefix.set || f.Param.set {
			d.reportf(f.Cookie.place, "", "a cookie is sent back as one: header, prefix and param do not count")
		}
	case f.Param.set:
		l.Header, l.Prefix = "", ""
		if f.Header.set || f.Prefix.set {
			d.reportf(f.Param.place, "", "param takes the token in the place of header and prefix")
		}
	}
	for _, t := range []*text{&f.Header, &f.AnswerHeader, &f.Cookie} {
		if t.ok {
			d.headerName(t.place, t.s)
		}
	}
	if f.Prefix.ok && !headerValue.MatchString(f.Prefix.s) {
		d.reportf(f.Prefix.place, "", "the value has characters that a header cannot hold, such as a line break")
	}
	if l.Header != "" {
		setBy[http.CanonicalHeaderKey(l.Header)] = "auth.login"
	}
	return l
}
