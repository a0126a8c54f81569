package fetch

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/millrace-io/millrace/pipeline"
)

// An error quotes excerptBytes of an answer, of the readBytes that are looked at for secrets.
const (
	excerptBytes = 300
	readBytes    = 16 << 10
)

// beginning reads so much of a body that is not a page that the connection can be used again, and returns its
// beginning.
func beginning(resp *http.Response) []byte {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, readBytes))
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	return body
}

// unexpected describes an answer that is not a page, whose body begins so.
func (c *Client) unexpected(resp *http.Response, asked *url.URL, body []byte) error {
	text := c.about(resp, asked)
	if says := c.says(resp.Header, body); says != "" {
		text += ": " + says
	}
	return errors.New(text)
}

// notThePage adds to what check found wrong with an answer of status 2xx what came instead.
func (c *Client) notThePage(err error, resp *http.Response, body *Body, asked *url.URL) error {
	text := fmt.Sprintf("%v; the answer: %s, %d bytes", err, c.about(resp, asked), body.Size())
	if body.Size() > 0 && !shows(err) {
		if says := c.says(resp.Header, body.beginning(readBytes)); says != "" {
			text += ": " + says
		}
	}
	return &unexpectedError{text, err}
}

// unexpectedError is an error of a check with a text that says more.
type unexpectedError struct {
	text string
	err  error
}

func (e *unexpectedError) Error() string { return e.text }

func (e *unexpectedError) Unwrap() error { return e.err }

// quoter is an error that shows what matters of an answer itself, or is about a place in the middle of records, which
// are not shown.
type quoter interface{ Quotes() bool }

func shows(err error) bool {
	var q quoter
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &q) && q.Quotes()
}

// about says what kind of answer it is, and where it came from if not from where it was asked for.
func (c *Client) about(resp *http.Response, asked *url.URL) string {
	text := resp.Status
	if kind := resp.Header.Get("Content-Type"); kind != "" {
		text += ", " + kind
	}
	if resp.Request == nil || resp.Request.URL == nil {
		return text
	}
	from, to := pipeline.OriginOf(asked), pipeline.OriginOf(resp.Request.URL)
	if from != to || asked.Path != resp.Request.URL.Path {
		text += ", redirected to " + c.redact.URL(resp.Request.URL)
	}
	if to != c.home && len(c.auth) > 0 {
		text += fmt.Sprintf(", which is not sent the credentials of %s", c.home)
	}
	if place, err := resp.Location(); err == nil && resp.StatusCode/100 == 3 {
		text += ", Location " + c.redact.URL(place)
	}
	return text
}

// says is the API's own words for an error, else the beginning of the body.
func (c *Client) says(h http.Header, body []byte) string {
	text := words(body)
	if text == "" {
		text = readable(h, body)
	}
	text = c.redact.Text(strings.ToValidUTF8(text, "")) // before it is cut: half a secret would not be known
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > excerptBytes {
		text = strings.ToValidUTF8(text[:excerptBytes], "") + "…"
	}
	return text
}

var (
	invisible = regexp.MustCompile(`(?is)<(script|style|head)\b.*?</(script|style|head)>|<!--.*?-->`)
	title     = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	tags      = regexp.MustCompile(`(?s)<[^>]*>`)
)

// readable is the text of a body. Of a page for people it is what they would read.
func readable(h http.Header, body []byte) string {
	text := string(body)
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if kind != "text/html" && kind != "application/xhtml+xml" && !strings.HasPrefix(strings.ToLower(strings.TrimSpace(text)), "<!doctype html") {
		return text
	}
	var head string
	if m := title.FindStringSubmatch(text); m != nil {
		head = m[1] + " | "
	}
	return html.UnescapeString(head + tags.ReplaceAllString(invisible.ReplaceAllString(text, " "), " "))
}

// words are what a JSON body says of an error, by the names that APIs use for it (of them RFC 9457, section 3.1);
// empty: nothing is known.
func words(body []byte) string {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return ""
	}
	return strings.Join(wordsOf(v, 0), ": ")
}

// errorNames are the names of what is told of an error, in the order in which it is shown.
var errorNames = []string{"code", "error_code", "title", "error", "error_description", "message", "msg", "detail", "reason", "errors"}

func wordsOf(v any, depth int) []string {
	const deepest, most = 3, 5
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for i, e := range v {
			if i < most && depth < deepest {
				out = append(out, strings.Join(wordsOf(e, depth+1), ": "))
			}
		}
		return []string{strings.Join(out, "; ")}
	case map[string]any:
		var out []string
		found := false
		for _, name := range errorNames {
			value, ok := v[name]
			if !ok || depth >= deepest {
				continue
			}
			switch value.(type) {
			case float64:
				out = append(out, fmt.Sprint(value))
			case string, []any, map[string]any:
				found = found || name != "code"
				out = append(out, wordsOf(value, depth+1)...)
			}
		}
		if found || depth > 0 {
			return out
		}
	}
	return nil
}
