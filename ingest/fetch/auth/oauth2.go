package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/millrace-io/millrace/pipeline"
)

// newClientCredentials gets tokens by the client credentials grant (RFC 6749, section 4.4).
func newClientCredentials(o *pipeline.OAuth2, client *http.Client) Session {
	cfg := clientcredentials.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(), TokenURL: o.TokenURL, Scopes: o.Scopes,
		EndpointParams: url.Values{}, AuthStyle: style(o),
	}
	for name, value := range o.Params {
		cfg.EndpointParams.Set(name, value.Reveal())
	}
	return newCached(func(ctx context.Context, _ string) (string, time.Time, error) {
		t, err := cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
		if err != nil {
			return "", time.Time{}, failed(ctx, o, err)
		}
		return t.AccessToken, t.Expiry, nil
	})
}

// refresh asks once for another access token (RFC 6749, section 6). What it returns has the refresh token for the next
// time, which may be another one.
func refresh(ctx context.Context, o *pipeline.OAuth2, client *http.Client, token string) (*oauth2.Token, error) {
	cfg := oauth2.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(), Scopes: o.Scopes,
		Endpoint: oauth2.Endpoint{TokenURL: o.TokenURL, AuthStyle: style(o)},
	}
	if len(o.Params) > 0 {
		c := *client
		c.Transport = more{client.Transport, o.Params}
		client = &c
	}
	source := cfg.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, client), &oauth2.Token{RefreshToken: token})
	t, err := source.Token()
	if err != nil {
		return nil, failed(ctx, o, err)
	}
	return t, nil
}

func style(o *pipeline.OAuth2) oauth2.AuthStyle {
	if o.InBody {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// failed says what the token endpoint answered: its error code, and nothing of what it was asked with.
func failed(ctx context.Context, o *pipeline.OAuth2, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e := &Error{URL: endpoint(o.TokenURL)}
	var answered *oauth2.RetrieveError
	if !errors.As(err, &answered) {
		e.Text = "no answer that can be read"
		if transport := (*url.Error)(nil); errors.As(err, &transport) {
			e.Text = transport.Err.Error()
		}
		return e
	}
	if answered.Response != nil {
		e.Status = answered.Response.StatusCode
	}
	e.Text = fmt.Sprintf("HTTP status %d", e.Status)
	if code := answered.ErrorCode; code != "" && len(code) < 60 {
		e.Text += ": " + code
	}
	switch answered.ErrorCode {
	case "invalid_client", "unauthorized_client":
		e.Hint = "check auth.oauth2.client_id and client_secret, and whether client_auth must be body"
	case "invalid_grant":
		e.Hint = "the refresh token is not valid any more: get another one by giving consent again, and put it into auth.oauth2.refresh_token"
	case "invalid_scope":
		e.Hint = "check auth.oauth2.scopes"
	}
	return e
}

// endpoint is a URL as it may be shown.
func endpoint(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "the token endpoint"
	}
	return u.Scheme + "://" + u.Host + u.Path
}
