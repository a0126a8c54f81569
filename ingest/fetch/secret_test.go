package fetch_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/pipeline"
)

func parsed(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestCredentialsBelongToAnOrigin: to scheme, host and port, however they are written.
func TestCredentialsBelongToAnOrigin(t *testing.T) {
	h := settings()
	h.BaseURL = "https://LocalHost:443/v1"
	h.Hosts = []string{"localhost", "localhost.evil.test"}
	h.Auth.Bearer = "b-s3cret"
	for to, home := range map[string]bool{
		"https://localhost/v1?page=2": true, "https://LOCALHOST.:443/": true, "HTTPS://localhost:443/x": true,
		"http://localhost/v1?page=2": false, "http://localhost:443/": false, "https://localhost:8443/": false, "https://localhost.evil.test/": false,
	} {
		for _, by := range []string{"next link", "redirect"} {
			if by == "redirect" && !strings.HasPrefix(strings.ToLower(to), "https") {
				continue // refused: see below
			}
			var got string
			cl := client(h, transport(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == "/moved" {
					return answer(r, http.StatusFound, "", "Location", to), nil
				}
				got = r.Header.Get("Authorization")
				return answer(r, 200, "[]"), nil
			}))
			ask := to
			if by == "redirect" {
				ask = "https://localhost/moved"
			}
			if _, err := get(t.Context(), cl, ask); err != nil {
				t.Errorf("%s to %s: %v", by, to, err)
			}
			if (got != "") != home {
				t.Errorf("%s to %s was sent %q", by, to, got)
			}
		}
	}
}

// TestARedirectOutOfTLSIsRefused: it is not asked, and the error says where it leads and that it needs an operator.
func TestARedirectOutOfTLSIsRefused(t *testing.T) {
	h := settings()
	h.Auth.APIKey = &pipeline.APIKey{Param: "code", Value: "k-s3cret"}
	asked := 0
	cl := client(h, transport(func(r *http.Request) (*http.Response, error) {
		asked++
		return answer(r, http.StatusMovedPermanently, "", "Location", "http://api.test/v1?code=k-s3cret"), nil
	}))
	_, err := get(t.Context(), cl, "https://api.test/v1")
	var e *fetch.Error
	if !errors.As(err, &e) || e.Status != http.StatusMovedPermanently || e.Transient() || asked != 1 {
		t.Fatalf("%d requests: %v", asked, err)
	}
	if text := err.Error(); strings.Contains(text, "s3cret") || !strings.Contains(text, "redirect to http://api.test/v1?code=[secret] refused") {
		t.Error(text)
	}
}

// TestALocationIsShownWithoutSecrets: of a redirect that net/http does not follow.
func TestALocationIsShownWithoutSecrets(t *testing.T) {
	cl := client(settings(), transport(func(r *http.Request) (*http.Response, error) {
		return answer(r, http.StatusMultipleChoices, "", "Location", "/elsewhere?a=1&signature=s3cret"), nil
	}))
	_, err := get(t.Context(), cl, "https://api.test/v1")
	if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "Location https://api.test/elsewhere?a=1&signature=[secret]") {
		t.Error(err)
	}
}

// secretsOf is the settings of an API that is sent secrets in query and path, as a file gives them.
func secretsOf() pipeline.HTTP {
	h := settings()
	h.Retry.Attempts = 1
	h.BaseURL = "https://api.test/bot1234:s3cret"
	h.Secrets = []pipeline.Reference{
		{Name: "BOT", Value: "bot1234:s3cret"}, {Name: "TOKEN", Value: "t/s3cret &+"}, {Name: "REGION", Value: "eu"},
		{Name: "HOOK", Value: "T0S3CRET/B0S3CRET"}, {Value: "literal-s3cret"},
	}
	return h
}

// TestKeptURLsHoldNoSecret: what the API echoes into the URL of a next page is kept without the secrets, and asked for
// with them: with those of the day, if they were changed meanwhile.
func TestKeptURLsHoldNoSecret(t *testing.T) {
	for _, next := range []string{
		"https://api.test/bot1234:s3cret/updates?token=t%2Fs3cret+%26%2B&r=eu&page=2",
		"https://api.test/bot1234%3As3cret/eu/x?token=t/s3cret%20%26%2b",
		"https://api.test/hooks/T0S3CRET/B0S3CRET?page=2",
		"https://api.test/a%2Fb/queue?europe=1&flag&r=&a=b=c",
	} {
		h := secretsOf()
		var asked *url.URL
		record := transport(func(r *http.Request) (*http.Response, error) {
			asked = r.URL
			return answer(r, 200, "[]"), nil
		})
		cl := client(h, record)
		kept := cl.Strip(parsed(t, next)).String()
		if strings.Contains(strings.ToLower(kept), "s3cret") || strings.Contains(kept, "=eu") || strings.Contains(kept, "/eu/") {
			t.Errorf("kept %s", kept)
		}
		if shown := cl.Redactor().URL(parsed(t, kept)); strings.Contains(shown, "mr-secret") {
			t.Errorf("shown %s", shown)
		}
		if _, err := get(t.Context(), cl, kept); err != nil {
			t.Fatal(err)
		}
		want := parsed(t, next)
		if asked.Path != want.Path || fmt.Sprint(asked.Query()) != fmt.Sprint(want.Query()) {
			t.Errorf("asked for %s, want %s", asked, want)
		}
		if !strings.Contains(kept, "mr-secret") {
			if asked.String() != next {
				t.Errorf("asked for %s, want %s as it is", asked, next)
			}
			continue
		}
		for i := range h.Secrets {
			h.Secrets[i].Value = pipeline.Secret(strings.NewReplacer("s3cret", "n3w", "S3CRET", "N3W").Replace(h.Secrets[i].Value.Reveal()))
		}
		if _, err := get(t.Context(), client(h, record), kept); err != nil || strings.Contains(strings.ToLower(asked.String()), "s3cret") {
			t.Errorf("after a change: %v, asked for %s", err, asked)
		}
		h.Secrets = nil
		if _, err := get(t.Context(), client(h, record), kept); err == nil || !strings.Contains(err.Error(), "no longer in the pipeline file") {
			t.Errorf("without the references: %v", err)
		}
		elsewhere := strings.Replace(kept, "https://api.test", "https://evil.test", 1)
		asked = nil
		if _, err := get(t.Context(), cl, elsewhere); err == nil || asked != nil || !strings.Contains(err.Error(), "another place than https://api.test") {
			t.Errorf("elsewhere: %v", err)
		}
	}
}

// TestReferencedSecretsDoNotShow: in whatever an error quotes.
func TestReferencedSecretsDoNotShow(t *testing.T) {
	h := secretsOf()
	body := `{"error":"no such bot: bot1234:s3cret, token t\/s3cret \u0026+ and literal-s3cret", "region": "eu", "message": "queues of europe"}`
	for _, status := range []int{0, 200, 403, 500} {
		cl := client(h, transport(func(r *http.Request) (*http.Response, error) {
			if status == 0 {
				return nil, errors.New("proxy: " + r.URL.String())
			}
			return answer(r, status, body), nil
		}))
		_, err := cl.Get(t.Context(), parsed(t, h.BaseURL+"/x?token=t%2Fs3cret+%26%2B&r=eu&n=1"), func(a *fetch.Answer) error {
			return errors.New("found " + string(a.Body.Bytes()))
		})
		if err == nil {
			t.Fatal("no error")
		}
		text := err.Error()
		if strings.Contains(text, "s3cret") || strings.Contains(text, "=eu") || strings.Contains(text, `"eu"`) {
			t.Errorf("%d: %s", status, text)
		}
		if !strings.Contains(text, "n=1") || status > 0 && !strings.Contains(text, "queues of europe") {
			t.Errorf("%d: too much is hidden: %s", status, text)
		}
	}
}

// TestUserAndPasswordOfTheBaseURL are sent to every page, and are not in the URL that is kept of a next one.
func TestUserAndPasswordOfTheBaseURL(t *testing.T) {
	h := settings()
	h.BaseURL = "https://user:p-s3cret@api.test/v1"
	asked := 0
	c := client(h, transport(func(r *http.Request) (*http.Response, error) {
		asked++
		if user, password, _ := r.BasicAuth(); user != "user" || password != "p-s3cret" {
			t.Errorf("request %d is from %q with %q", asked, user, password)
		}
		return answer(r, 200, "[]"), nil
	}))
	first, err := url.Parse(h.BaseURL + "/items")
	if err != nil {
		t.Fatal(err)
	}
	var next *url.URL
	_, err = c.Get(t.Context(), first, func(a *fetch.Answer) error {
		next = c.Strip(a.URL.ResolveReference(&url.URL{Path: "/v1/items", RawQuery: "page=2"}))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if next.String() != "https://api.test/v1/items?page=2" {
		t.Errorf("kept of the next page: %s", next)
	}
	if _, err := get(t.Context(), c, next.String()); err != nil || asked != 2 {
		t.Errorf("%d requests, %v", asked, err)
	}
}
