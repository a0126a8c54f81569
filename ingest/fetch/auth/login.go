package auth

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/pipeline"
)

// login gets a token by a request of its own.
type login struct {
	l      *pipeline.Login
	h      pipeline.HTTP
	client *http.Client
}

// mostLogin is the largest answer of a login that is read.
const mostLogin = 1 << 20

func newLogin(h pipeline.HTTP, client *http.Client) Session {
	l := &login{l: h.Auth.Login, h: h, client: client}
	return newCached(l.get)
}

func (l *login) get(ctx context.Context, _ string) (string, time.Time, error) {
	address := strings.TrimRight(l.h.BaseURL, "/") + l.l.Path
	e := &Error{URL: endpoint(address)}
	req, err := l.request(ctx, address)
	if err != nil {
		e.Status, e.Text = http.StatusBadRequest, "the login cannot be asked for"
		return "", time.Time{}, e
	}
	asked := time.Now()
	resp, err := l.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return "", time.Time{}, ctx.Err()
		}
		e.Text = "no answer"
		if u, ok := err.(*url.Error); ok { //nolint:errorlint // net/http says that it is one
			e.Text = u.Err.Error()
		}
		return "", time.Time{}, e
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostLogin))
	if e.Status = resp.StatusCode; resp.StatusCode/100 != 2 || err != nil {
		e.Text, e.Hint = "the login was answered with HTTP status "+strconv.Itoa(resp.StatusCode), "check auth.login: the API does not know this user, or password"
		return "", time.Time{}, e
	}
	token := l.token(resp, body)
	if token == "" {
		e.Text = fmt.Sprintf("the answer to the login has no token at %s", l.where())
		return "", time.Time{}, e
	}
	return token, l.until(asked, body), nil
}

func (l *login) request(ctx context.Context, address string) (*http.Request, error) {
	in := &pipeline.Ingest{Body: l.l.Body}
	content, kind, err := request.Body(in)
	if err != nil {
		return nil, err
	}
	method := l.l.Method
	if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "millrace")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for name, value := range l.h.Headers {
		if text := value.Reveal(); pipeline.PlaceholdersIn(text) == nil {
			req.Header.Set(name, text)
		}
	}
	return req, nil
}

// where names the place of the token.
func (l *login) where() string {
	switch {
	case l.l.AnswerHeader != "":
		return "the header " + l.l.AnswerHeader
	case l.l.Cookie != "":
		return "the cookie " + l.l.Cookie
	}
	return pipeline.FormatPath(l.l.Field)
}

func (l *login) token(resp *http.Response, body []byte) string {
	switch {
	case l.l.AnswerHeader != "":
		return resp.Header.Get(l.l.AnswerHeader)
	case l.l.Cookie != "":
		for _, c := range resp.Cookies() {
			if c.Name == l.l.Cookie {
				return c.Value
			}
		}
		return ""
	}
	return textAt(body, l.l.Field)
}

// until is the end of a token's life; zero: it is not known.
func (l *login) until(asked time.Time, body []byte) time.Time {
	life := l.l.Lifetime
	if l.l.ExpiresIn != nil {
		if s, err := strconv.ParseFloat(textAt(body, l.l.ExpiresIn), 64); err == nil && s > 0 && s < 1e9 {
			life = time.Duration(s * float64(time.Second))
		}
	}
	if life <= 0 {
		return time.Time{}
	}
	return asked.Add(life)
}

// textAt is the text or the number at a path of object keys; empty: there is none.
func textAt(body []byte, path []string) string {
	v := jsontext.Value(body)
	for _, name := range path {
		v = member(v, name)
	}
	switch v.Kind() {
	case '"':
		text, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return ""
		}
		return string(text)
	case '0':
		return string(v)
	}
	return ""
}

func member(v jsontext.Value, name string) jsontext.Value {
	dec := jsontext.NewDecoder(bytes.NewReader(v))
	if token, err := dec.ReadToken(); err != nil || token.Kind() != '{' {
		return nil
	}
	for dec.PeekKind() == '"' {
		token, err := dec.ReadToken()
		if err != nil {
			return nil
		}
		found := token.String() == name
		value, err := dec.ReadValue()
		if err != nil {
			return nil
		}
		if found {
			return value.Clone()
		}
	}
	return nil
}
