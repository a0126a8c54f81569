package docs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/ingest"
	"github.com/millrace-io/millrace/pipeline"
)

// sent are the headers that a page shows of a request: those that a pipeline file has a say in.
var sent = []string{"Authorization", "Content-Type", "Cookie", "If-None-Match", "Last-Event-Id"}

// script is an API that gives its answers in order and notes what it was asked for. Its last request has no answer.
type script struct {
	answers []string // a body each, with a header line before it if it has one: "Link: <…>\n[…]"
	end     context.CancelFunc
	asked   []string
}

var errScriptEnds = errors.New("no more answers")

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, describeRequest(r))
	if len(s.asked) > len(s.answers) {
		s.end()
		return nil, errScriptEnds
	}
	body := s.answers[len(s.asked)-1]
	header := http.Header{"Content-Type": {"application/json"}, "Date": {"Sun, 01 Jun 2025 00:00:00 GMT"}}
	for {
		name, rest, found := strings.Cut(body, ": ")
		if !found || strings.ContainsAny(name, "{[\" \n") {
			break
		}
		value, after, _ := strings.Cut(rest, "\n")
		header.Set(name, value)
		body = after
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}, nil
}

// describeRequest is a request as a page shows it: its first line, the headers that matter and the body.
func describeRequest(r *http.Request) string {
	address := r.URL.RequestURI()
	if r.URL.Host != "api.example.com" {
		address = r.URL.String()
	}
	var headers []string
	for name := range r.Header {
		if !strings.HasPrefix(name, "X-") && !slices.Contains(sent, name) {
			continue
		}
		for _, v := range r.Header[name] {
			if strings.HasPrefix(v, "Basic ") {
				v = "Basic …"
			}
			headers = append(headers, "    "+name+": "+strings.TrimSpace(v))
		}
	}
	slices.Sort(headers)
	lines := append([]string{r.Method + " " + readable(address)}, headers...)
	if r.Body != nil {
		if body, err := io.ReadAll(r.Body); err == nil && len(body) > 0 {
			lines = append(lines, "    "+readable(string(body)))
		}
	}
	return strings.Join(lines, "\n")
}

// readable undoes escapes that a reader does not need.
func readable(text string) string {
	return strings.NewReplacer("%3A", ":", "%5B", "[", "%5D", "]", "%2C", ",", "%7B", "{", "%7D", "}", "%24", "$", "%2A", "*").Replace(text)
}

// asked are the requests of a stream, by the code that ingest asks with: one more than there are answers, if the
// stream makes it.
func asked(t *testing.T, p *pipeline.Pipeline, stream string, answers ...string) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	one := *p
	one.Streams = []pipeline.Stream{*p.Stream(stream)} // others may name files that are not here
	for _, parent := range p.Ancestors(p.Stream(stream)) {
		one.Streams = append(one.Streams, *parent)
	}
	for i := range one.Streams {
		one.Streams[i].Ingest.HTTP.TLS = nil
	}
	s := &script{answers: answers, end: cancel}
	passes := 4
	if one.Streams[0].Ingest.ForEach != nil {
		passes = 1 // of each record of the parent
	}
	walk := ingest.Walk{Stream: stream, Passes: passes, Recorded: true, Transport: func(http.RoundTripper) http.RoundTripper { return s }}
	err := walk.Run(ctx, &one, func(*ingest.WalkedPage) error { return nil }, func(string) {})
	if ctx.Err() == nil && err != nil {
		t.Errorf("%s: %v", stream, err)
	}
	return s.asked
}

// placeholder is an environment that holds everything: each variable stands for its own reference.
func placeholder(name string) (string, bool) {
	if strings.HasSuffix(name, "_TOKEN_KEY") {
		return fmt.Sprintf("%-32s", "${"+name+"}"), true // as long as a key must be
	}
	return "${" + name + "}", true
}
