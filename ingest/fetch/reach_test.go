package fetch_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/pipeline"
)

// TestAnswersLeadHome, or to hosts that the file names; by a pattern, to public addresses alone. That holds for next
// pages and for redirects.
func TestAnswersLeadHome(t *testing.T) {
	reached := 0
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached++
		_, _ = io.WriteString(w, "[]")
	}))
	defer other.Close()
	elsewhere := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere+"/x", http.StatusTemporaryRedirect)
	}))
	defer api.Close()
	for name, c := range map[string]struct {
		hosts []string
		want  string // of the error; empty: it is followed
	}{
		"nothing is named":    {nil, "http.allow_hosts"},
		"another is named":    {[]string{"example.com", "*.localhost"}, "http.allow_hosts"},
		"it is named":         {[]string{"LOCALHOST"}, ""},
		"any":                 {[]string{"*"}, "address of a private network"},
		"any, and it itself":  {[]string{"*", "localhost"}, ""},
		"a pattern, no match": {[]string{"*localhost.example"}, "http.allow_hosts"},
	} {
		t.Run(name, func(t *testing.T) {
			h := settings()
			h.BaseURL, h.Hosts, h.Retry.Attempts = api.URL, c.hosts, 1
			transports := fetch.Transports{Idle: 4}
			tr, err := transports.For(h)
			if err != nil {
				t.Fatal(err)
			}
			defer transports.Close()
			for _, u := range []string{elsewhere + "/next", api.URL + "/moved"} {
				before := reached
				_, err := get(t.Context(), client(h, tr), u)
				switch {
				case c.want == "" && (err != nil || reached != before+1):
					t.Errorf("%s: %v", u, err)
				case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || reached != before):
					t.Errorf("%s: %v, want %s", u, err, c.want)
				}
			}
			cl := client(h, tr)
			body := &request.Request{Method: http.MethodPost, URL: parsed(t, api.URL+"/moved"), Body: []byte(`{"password":"x"}`)}
			before := reached
			if _, err := cl.Do(t.Context(), body, func(*fetch.Answer) error { return nil }); err == nil || reached != before {
				t.Errorf("a body was taken along: %v", err)
			}
		})
	}
}

// TestSameHostInTLS: an API that has moved to TLS is followed there.
func TestSameHostInTLS(t *testing.T) {
	for to, follows := range map[string]bool{
		"https://api.test/x": true, "https://api.test:443/x": true, "https://api.test:8443/x": false, "http://api.test:81/x": false,
	} {
		h := settings()
		h.BaseURL, h.Retry.Attempts = "http://api.test", 1
		h.Auth = pipeline.Auth{Bearer: "s3cret"}
		cl := client(h, transport(func(r *http.Request) (*http.Response, error) {
			if r.URL.Scheme == "https" && r.Header.Get("Authorization") != "" {
				t.Error("credentials left their origin")
			}
			return answer(r, 200, "[]"), nil
		}))
		if _, err := get(t.Context(), cl, to); (err == nil) != follows {
			t.Errorf("%s: %v", to, err)
		}
	}
}
