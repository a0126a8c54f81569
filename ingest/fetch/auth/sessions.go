package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/pipeline"
)

// Sessions are those of a process: one for all streams with the same credentials. It may be used concurrently.
type Sessions struct {
	// Store keeps a credential, by its name, for all processes; nil: there is none.
	Store func(name string) Store

	mu sync.Mutex
	m  map[string]Session
}

// For returns the session of the streams with these settings; nil: their credentials stay as they are. transport is
// that of the API.
func (s *Sessions) For(h pipeline.HTTP, transport http.RoundTripper) (Session, error) {
	a := &h.Auth
	if len(a.Bearers) == 0 && a.OAuth2 == nil && a.Login == nil && a.JWT == nil && (a.APIKey == nil || len(a.APIKey.Values) == 0) {
		return nil, nil //nolint:nilnil // as the comment says
	}
	name := nameOf(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[string]Session{}
	}
	if found := s.m[name]; found != nil {
		return found, nil
	}
	session, err := s.make(h, transport)
	if err == nil {
		s.m[name] = session
	}
	return session, err
}

func (s *Sessions) make(h pipeline.HTTP, transport http.RoundTripper) (Session, error) {
	client := &http.Client{
		Transport: transport, Timeout: refreshFor,
		// it would show the credentials elsewhere
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if h.Timeout > 0 {
		client.Timeout = min(h.Timeout, refreshFor)
	}
	switch a := &h.Auth; {
	case len(a.Bearers) > 0:
		return newSeveral(a.Bearers), nil
	case a.APIKey != nil:
		return newSeveral(a.APIKey.Values), nil
	case a.Login != nil:
		return newLogin(h, client), nil
	case a.JWT != nil:
		return newJWT(a.JWT, client), nil
	case a.OAuth2.RefreshToken == "":
		return newClientCredentials(a.OAuth2, client), nil
	case s.Store == nil:
		return nil, errors.New("auth.oauth2.refresh_token needs the state topic, which keeps the tokens that follow")
	default:
		kept := credentialName(a.OAuth2)
		return newRotating(a.OAuth2, client, kept, s.Store(kept))
	}
}

// credentialName names what is kept: the same for all that share a refresh token. Another one in the pipeline file,
// which a person has put there, is another credential.
func credentialName(o *pipeline.OAuth2) string {
	return fingerprint(o.TokenURL, o.ClientID, o.RefreshToken.Reveal())
}

// nameOf is the same for settings that may share a session. It is not shown.
func nameOf(h pipeline.HTTP) string {
	texts := []string{h.BaseURL, h.Timeout.String()}
	add := func(secrets ...pipeline.Secret) {
		for _, s := range secrets {
			texts = append(texts, s.Reveal())
		}
	}
	a := &h.Auth
	add(a.Bearers...)
	if a.APIKey != nil {
		texts = append(texts, a.APIKey.Header, a.APIKey.Param)
		add(a.APIKey.Values...)
	}
	if o := a.OAuth2; o != nil {
		texts = append([]string{o.TokenURL, o.ClientID, fmt.Sprint(o.InBody), fmt.Sprint(o.Scopes)}, texts[2:]...)
		add(o.ClientSecret, o.RefreshToken, o.Key)
		names := []string{}
		for name, value := range o.Params {
			names = append(names, name+"="+value.Reveal())
		}
		slices.Sort(names)
		texts = append(texts, names...)
	}
	if j := a.JWT; j != nil {
		texts = append(texts, j.Algorithm, j.KeyID, j.Issuer, j.Subject, j.Audience, fmt.Sprint(j.Scopes, j.Claims, j.Lifetime, j.AsClient), j.TokenURL)
		add(j.Key, j.ServiceAccount)
		for _, name := range slices.Sorted(maps.Keys(j.Params)) {
			texts = append(texts, name)
			add(j.Params[name])
		}
	}
	if l := a.Login; l != nil {
		texts = append(texts, l.Path, l.Method, fmt.Sprint(l.Field), l.AnswerHeader, l.Cookie, fmt.Sprint(l.ExpiresIn), l.Lifetime.String())
		if b := l.Body; b != nil {
			texts = append(texts, string(b.JSON), b.GraphQL, fmt.Sprint(b.Form), b.Text, b.Type)
		}
	}
	return fingerprint(texts...)
}

func fingerprint(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
