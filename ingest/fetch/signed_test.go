package fetch_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/pipeline"
)

// signatureOf is what a request that came should have as its signature.
func signatureOf(t *testing.T, r *http.Request, body []byte) string {
	t.Helper()
	_, signed, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	names := strings.Split(strings.Split(signed, ",")[0], ";")
	again := r.Clone(context.WithoutCancel(t.Context()))
	again.URL.Scheme, again.URL.Host, again.Header = "http", r.Host, http.Header{}
	for name, values := range r.Header {
		if slices.Contains(names, strings.ToLower(name)) {
			again.Header[name] = values
		}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		t.Error(err)
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(again.Context(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, again, hex.EncodeToString(sum[:]), "es", "eu-central-1", at)
	if err != nil {
		t.Error(err)
	}
	return again.Header.Get("Authorization")
}

// TestSignedRequests: each attempt has a signature that the API can check, after a redirect, and after a failure, too.
func TestSignedRequests(t *testing.T) {
	var mu sync.Mutex
	var paths []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if got, want := r.Header.Get("Authorization"), signatureOf(t, r, body); got != want {
			t.Errorf("%s: %q, want %q", r.URL, got, want)
		}
		mu.Lock()
		defer mu.Unlock()
		paths = append(paths, r.Method+" "+r.URL.RequestURI())
		switch {
		case len(paths) == 1:
			w.WriteHeader(http.StatusInternalServerError)
		case r.URL.Path == "/from":
			http.Redirect(w, r, "/to?x=1", http.StatusFound)
		default:
			_, _ = w.Write([]byte("[]"))
		}
	}))
	t.Cleanup(s.Close)
	h := pipeline.HTTP{
		BaseURL: s.URL, Retry: pipeline.Retry{Initial: time.Millisecond, Max: time.Millisecond, Attempts: 3},
		Headers: map[string]pipeline.Secret{"X-Tenant": "shop"},
		Auth:    pipeline.Auth{AWS: &pipeline.AWS{Region: "eu-central-1", Service: "es", AccessKey: "AKID", SecretKey: "secret"}},
	}
	c := fetch.NewClient(h, http.DefaultTransport, new(fetch.Budgets).For(h), fetch.NewMemory(1<<20, 1<<20, t.TempDir()))
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*request.Request{
		{Method: http.MethodPost, URL: u.JoinPath("/search"), Body: []byte(`{"size": 1}`), Type: "application/json", Header: http.Header{"X-Page": {"1"}}},
		request.Get(u.JoinPath("/from")),
	} {
		a, err := c.Do(t.Context(), r, func(*fetch.Answer) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"POST /search", "POST /search", "GET /from", "GET /to?x=1"}; !slices.Equal(paths, want) {
		t.Errorf("requests %q, want %q", paths, want)
	}
}
