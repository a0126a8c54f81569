package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/redact"
)

// TestEverySpelling: a secret is hidden in each way in which it may come back, and what stands around it stays.
func TestEverySpelling(t *testing.T) {
	for _, secret := range []string{"s3cret-token", "s3cret/+&= \"<x>\\", "s3cret-ü-€uro", "ключ-от-всех"} {
		j, err := json.Marshal(secret)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := json.Marshal(string(j))
		if err != nil {
			t.Fatal(err)
		}
		s := redact.New(secret)
		for name, spelled := range map[string]string{
			"plain": secret, "query": url.QueryEscape(secret), "path": url.PathEscape(secret),
			"lower percent": strings.ToLower(url.QueryEscape(secret)), "JSON": string(j), "JSON in JSON": string(twice),
			"JSON with slashes": strings.ReplaceAll(string(j), "/", `\/`), "quoted": strconv.Quote(secret),
			"ASCII": strconv.QuoteToASCII(secret), "HTML": html.EscapeString(secret),
			"base64": base64.StdEncoding.EncodeToString([]byte(secret)), "URL base64": base64.URLEncoding.EncodeToString([]byte(secret)),
		} {
			if name == "lower percent" && strings.ToLower(secret) != secret {
				continue // its letters would be others
			}
			got := s.Text("before " + spelled + " after")
			if strings.Contains(got, spelled) || !strings.Contains(got, redact.Hidden) ||
				!strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
				t.Errorf("%s of %q: %q", name, secret, got)
			}
		}
		for before := range 4 { // as basic authentication sends user and password
			encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("u", before) + ":" + secret + "~"))
			if got := s.Text(encoded); !strings.Contains(got, redact.Hidden) || len(got) > len(redact.Hidden)+16 {
				t.Errorf("%q in base64 after %d bytes: %s of %s", secret, before+1, got, encoded)
			}
		}
	}
}

// TestAShortSecretIsHiddenAsAWholeValue: it does not blot out the words that it is a part of.
func TestAShortSecretIsHiddenAsAWholeValue(t *testing.T) {
	s := redact.New("eu", "12345", "")
	for text, want := range map[string]string{
		"eu":                       "[secret]",
		"the queue of europe":      "the queue of europe",
		`{"region":"eu"}`:          `{"region":"[secret]"}`,
		"GET https://h/eu/eu?r=eu": "GET https://h/[secret]/[secret]?r=[secret]",
		"http://h:12345/x":         "http://h:12345/x",
		"Bearer 12345":             "Bearer [secret]",
		"a=eu&b=12345;c":           "a=[secret]&b=[secret];c",
		"eu is here":               "eu is here",
	} {
		if got := s.Text(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := redact.New().Text("all"); got != "all" {
		t.Errorf("nothing to hide: %q", got)
	}
}

// TestTheLongerSecretWins: one that begins with another leaves no rest.
func TestTheLongerSecretWins(t *testing.T) {
	if got := redact.New("s3cret", "s3cret-and-more").Text("x s3cret-and-more s3cret"); got != "x [secret] [secret]" {
		t.Error(got)
	}
}

type valuer struct{ text string }

func (v valuer) LogValue() slog.Value { return slog.StringValue(v.text) }

// TestLogsHideSecrets: whatever a line is made of.
func TestLogsHideSecrets(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(redact.New("s3cret").Handler(slog.NewJSONHandler(&b, nil)))
	log.With("with", "s3cret").WithGroup("g").Info("of s3cret",
		"text", "a s3cret", "err", fmt.Errorf("dial: %w", errors.New("s3cret refused")), "list", []string{"s3cret"},
		"valuer", valuer{"s3cret"}, slog.Group("group", "in", "s3cret"), "n", 7, "nil", nil)
	if got := b.String(); strings.Contains(got, "s3cret") || strings.Count(got, redact.Hidden) != 7 || !strings.Contains(got, `"n":7`) {
		t.Error(got)
	}
}

func TestErrorsHideSecrets(t *testing.T) {
	s := redact.New("s3cret")
	inner := errors.New("s3cret refused")
	err := s.Error(fmt.Errorf("dial: %w", inner))
	if err.Error() != "dial: [secret] refused" || !errors.Is(err, inner) {
		t.Errorf("%v", err)
	}
	plain := errors.New("refused")
	if got := s.Error(plain); got != plain || s.Error(nil) != nil { //nolint:errorlint // the very same
		t.Errorf("%v", got)
	}
}
