package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/millrace-io/millrace/ingest/fetch/auth"
	"github.com/millrace-io/millrace/pipeline"
)

// keys are a private key in PEM, and its public key.
func keys(t *testing.T, algorithm string) (private pipeline.Secret, public any) {
	t.Helper()
	var key any
	if strings.HasPrefix(algorithm, "ES") {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key, public = k, &k.PublicKey
	} else {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		key, public = k, &k.PublicKey
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), public
}

// token is that of a session with these credentials.
func token(t *testing.T, a pipeline.Auth) (string, error) {
	t.Helper()
	s, err := new(auth.Sessions).For(pipeline.HTTP{BaseURL: "https://api.example.com", Auth: a}, http.DefaultTransport)
	if err != nil {
		t.Fatal(err)
	}
	return s.Token(context.WithoutCancel(t.Context()))
}

// claims checks a token with the public key.
func claims(t *testing.T, text, algorithm string, public any) (jwt.MapClaims, *jwt.Token) {
	t.Helper()
	c := jwt.MapClaims{}
	parsed, err := jwt.ParseWithClaims(text, c, func(*jwt.Token) (any, error) { return public, nil }, jwt.WithValidMethods([]string{algorithm}))
	if err != nil {
		t.Fatal(err)
	}
	return c, parsed
}

// TestJWTIsSent: without token_url the token is sent as it is.
func TestJWTIsSent(t *testing.T) {
	for _, algorithm := range []string{"RS256", "PS256", "ES256"} {
		private, public := keys(t, algorithm)
		text, err := token(t, pipeline.Auth{JWT: &pipeline.JWT{
			Algorithm: algorithm, Key: private, KeyID: "k1", Issuer: "me", Subject: "you", Audience: "them", Claims: map[string]string{"tenant": "shop"}, Lifetime: 10 * time.Minute,
		}})
		if err != nil {
			t.Fatal(err)
		}
		got, parsed := claims(t, text, algorithm, public)
		if got["iss"] != "me" || got["sub"] != "you" || got["aud"] != "them" || got["tenant"] != "shop" || parsed.Header["kid"] != "k1" {
			t.Errorf("%s: claims %v, header %v", algorithm, got, parsed.Header)
		}
	}
}

// exchange is a token endpoint that checks what a service account, or a client, shows.
func exchange(t *testing.T, check func(form map[string]string) error) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form := map[string]string{}
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		for name := range r.PostForm {
			form[name] = r.PostForm.Get(name)
		}
		w.Header().Set("Content-Type", "application/json")
		if err := check(form); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": err.Error()})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "t1", "token_type": "Bearer", "expires_in": 3600})
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestServiceAccount: the key file of a Google service account is enough.
func TestServiceAccount(t *testing.T) {
	private, public := keys(t, "RS256")
	var url string
	url = exchange(t, func(form map[string]string) error {
		c := jwt.MapClaims{}
		if _, err := jwt.ParseWithClaims(form["assertion"], c, func(*jwt.Token) (any, error) { return public, nil }); err != nil {
			return err
		}
		if form["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer" || c["iss"] != "robot@example.com" || c["aud"] != url || c["scope"] != "a b" {
			return fmt.Errorf("form %v, claims %v", form, c)
		}
		return nil
	})
	file, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "robot@example.com", "private_key": private.Reveal(), "private_key_id": "k1", "token_uri": url,
	})
	if err != nil {
		t.Fatal(err)
	}
	account := &pipeline.JWT{Algorithm: "RS256", ServiceAccount: pipeline.Secret(file), Scopes: []string{"a", "b"}, Lifetime: time.Hour}
	if got, err := token(t, pipeline.Auth{JWT: account}); err != nil || got != "t1" {
		t.Errorf("token %q, %v", got, err)
	}
	account.Scopes = nil // which this endpoint refuses
	if _, err := token(t, pipeline.Auth{JWT: account}); err == nil || !strings.Contains(err.Error(), "invalid_grant") || strings.Contains(err.Error(), "PRIVATE") {
		t.Errorf("error %v", err)
	}
}

// TestClientAssertion: it stands for the client's secret.
func TestClientAssertion(t *testing.T) {
	private, public := keys(t, "ES256")
	url := exchange(t, func(form map[string]string) error {
		c := jwt.MapClaims{}
		if _, err := jwt.ParseWithClaims(form["client_assertion"], c, func(*jwt.Token) (any, error) { return public, nil }); err != nil {
			return err
		}
		if form["grant_type"] != "client_credentials" || form["client_id"] != "me" || form["scope"] != "a" || form["resource"] != "r" || c["jti"] == nil {
			return fmt.Errorf("form %v, claims %v", form, c)
		}
		return nil
	})
	got, err := token(t, pipeline.Auth{JWT: &pipeline.JWT{
		Algorithm: "ES256", Key: private, Issuer: "me", Subject: "me", Audience: url, Scopes: []string{"a"}, TokenURL: url, AsClient: true,
		Lifetime: time.Minute, Params: map[string]pipeline.Secret{"resource": "r"},
	}})
	if err != nil || got != "t1" {
		t.Errorf("token %q, %v", got, err)
	}
}

// TestWrongKey: the error tells what to look at, and shows nothing of the key.
func TestWrongKey(t *testing.T) {
	for _, j := range []pipeline.JWT{
		{Algorithm: "RS256", Key: "it is secret"}, {Algorithm: "ES256", Key: "it is secret"}, {Algorithm: "RS256", ServiceAccount: `{"private_key": "it is secret"}`},
	} {
		_, err := token(t, pipeline.Auth{JWT: &j})
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "auth.jwt") {
			t.Errorf("error %v", err)
		}
	}
}

// TestAWS: what is signed is what the signer of AWS makes of the request as it arrives.
func TestAWS(t *testing.T) {
	credentials := pipeline.AWS{Region: "eu-central-1", Service: "execute-api", AccessKey: "AKID", SecretKey: "secret", SessionToken: "session"}
	kinds := auth.For(pipeline.HTTP{Auth: pipeline.Auth{AWS: &credentials}})
	for _, body := range []string{"", `{"a": 1}`} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/a%20b?x=1&y=a%2Bb", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if err := kinds.Sign(req); err != nil {
			t.Fatal(err)
		}
		got := req.Header.Get("Authorization")
		at, err := time.Parse("20060102T150405Z", req.Header.Get("X-Amz-Date"))
		if err != nil || !strings.Contains(got, "Credential=AKID/") {
			t.Fatalf("%v, %q", err, got)
		}
		again := req.Clone(t.Context())
		again.Header.Del("Authorization")
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret", SessionToken: "session"}, again,
			hex.EncodeToString(sum[:]), "execute-api", "eu-central-1", at); err != nil {
			t.Fatal(err)
		}
		if want := again.Header.Get("Authorization"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if req.ContentLength != int64(len(body)) {
			t.Errorf("length %d", req.ContentLength)
		}
		kinds.Strip(req.Header)
		if req.Header.Get("X-Amz-Security-Token") != "" || req.Header.Get("Authorization") != "" {
			t.Error("credentials go along to another host")
		}
	}
}
