package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/millrace-io/millrace/pipeline"
)

// assertion signs JWTs (RFC 7519). They are sent as they are, or exchanged for access tokens: as a grant (RFC 7523,
// section 2.1), or in the place of a client's secret (section 2.2).
type assertion struct {
	j      pipeline.JWT
	key    any
	method jwt.SigningMethod
	client *http.Client
}

// jwtSkew is how far ahead our clock may be: a token that is not valid yet is refused.
const jwtSkew = 30 * time.Second

func newJWT(j *pipeline.JWT, client *http.Client) Session {
	a := &assertion{j: *j, client: client}
	return newCached(a.get)
}

// prepare reads the key.
func (a *assertion) prepare() error {
	if account := a.j.ServiceAccount.Reveal(); account != "" {
		if err := a.account(account); err != nil {
			return err
		}
	}
	a.method = jwt.GetSigningMethod(a.j.Algorithm)
	pem := []byte(a.j.Key.Reveal())
	var err error
	switch {
	case a.method == nil:
		return fmt.Errorf("auth.jwt.algorithm: %q is not known", a.j.Algorithm)
	case strings.HasPrefix(a.j.Algorithm, "HS"):
		a.key = pem
	case strings.HasPrefix(a.j.Algorithm, "ES"):
		a.key, err = jwt.ParseECPrivateKeyFromPEM(pem)
	case a.j.Algorithm == "EdDSA":
		a.key, err = jwt.ParseEdPrivateKeyFromPEM(pem)
	default:
		a.key, err = jwt.ParseRSAPrivateKeyFromPEM(pem)
	}
	if err != nil { // which may quote the key
		return fmt.Errorf("auth.jwt.key is no private key for %s, in PEM", a.j.Algorithm)
	}
	return nil
}

// account takes what a key file of a Google service account says, where the pipeline file says nothing.
func (a *assertion) account(text string) error {
	var f struct {
		Email string `json:"client_email"`
		Key   string `json:"private_key"`
		ID    string `json:"private_key_id"`
		URL   string `json:"token_uri"`
	}
	if err := json.Unmarshal([]byte(text), &f); err != nil || f.Email == "" || f.Key == "" {
		return errors.New("auth.jwt.service_account is no key file of a service account: it is JSON with client_email and private_key")
	}
	a.j.Key = pipeline.Secret(f.Key)
	set := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	set(&a.j.Issuer, f.Email)
	set(&a.j.KeyID, f.ID)
	set(&a.j.TokenURL, f.URL)
	set(&a.j.Audience, a.j.TokenURL)
	return nil
}

func (a *assertion) sign(now time.Time) (string, error) {
	claims := jwt.MapClaims{}
	for name, value := range a.j.Claims {
		claims[name] = value
	}
	maps.Copy(claims, jwt.MapClaims{"iat": now.Add(-jwtSkew).Unix(), "exp": now.Add(a.j.Lifetime).Unix()})
	for name, value := range map[string]string{"iss": a.j.Issuer, "sub": a.j.Subject, "aud": a.j.Audience} {
		if value != "" {
			claims[name] = value
		}
	}
	if len(a.j.Scopes) > 0 && a.j.TokenURL != "" && !a.j.AsClient {
		claims["scope"] = strings.Join(a.j.Scopes, " ")
	}
	if a.j.AsClient {
		claims["jti"] = fmt.Sprintf("%x", now.UnixNano()) // RFC 7523, section 3: it may be asked to be used once
	}
	t := jwt.NewWithClaims(a.method, claims)
	if a.j.KeyID != "" {
		t.Header["kid"] = a.j.KeyID
	}
	return t.SignedString(a.key)
}

// get is a JWT, or what it is exchanged for.
func (a *assertion) get(ctx context.Context, _ string) (string, time.Time, error) {
	now := time.Now()
	if err := a.prepare(); err != nil {
		return "", time.Time{}, &Error{URL: "auth.jwt", Status: http.StatusBadRequest, Text: err.Error(), Hint: "check auth.jwt in the pipeline file"}
	}
	signed, err := a.sign(now)
	if err != nil {
		return "", time.Time{}, &Error{URL: "auth.jwt", Status: http.StatusBadRequest, Text: "a token cannot be signed with " + a.j.Algorithm, Hint: "check auth.jwt.key and algorithm"}
	}
	if a.j.TokenURL == "" {
		return signed, now.Add(a.j.Lifetime), nil
	}
	cfg := clientcredentials.Config{TokenURL: a.j.TokenURL, AuthStyle: oauth2.AuthStyleInParams, EndpointParams: url.Values{}}
	if a.j.AsClient {
		cfg.ClientID, cfg.Scopes = a.j.Issuer, a.j.Scopes
		cfg.EndpointParams.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		cfg.EndpointParams.Set("client_assertion", signed)
	} else {
		cfg.EndpointParams.Set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
		cfg.EndpointParams.Set("assertion", signed)
	}
	for name, value := range a.j.Params {
		cfg.EndpointParams.Set(name, value.Reveal())
	}
	t, err := cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, a.client))
	if err != nil {
		err = failed(ctx, &pipeline.OAuth2{TokenURL: a.j.TokenURL}, err)
		if e, ok := errors.AsType[*Error](err); ok && e.Hint != "" {
			e.Hint = "check auth.jwt: the key, issuer, subject, audience and scopes, and the clock of this machine"
		}
		return "", time.Time{}, err
	}
	return t.AccessToken, t.Expiry, nil
}
