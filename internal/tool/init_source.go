package tool

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/internal/cassette"
	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/probe"
)

// source is what init asks, and how.
type source struct {
	address   string
	headers   []string          // as of -H
	transport http.RoundTripper // nil: the API itself is asked
}

// source finds out what the argument of init is.
func (f *initFlags) source(cmd *cobra.Command, text string) (*source, error) {
	if strings.Contains(text, "://") || strings.HasPrefix(strings.TrimSpace(text), "curl ") {
		if f.recorded {
			return nil, &cli.UsageError{Err: errors.New("--recorded is for an HTTP Archive")}
		}
		address, headers, err := fromCurl(text)
		if err != nil {
			return nil, &cli.UsageError{Err: err}
		}
		return &source{address: address, headers: headers}, nil
	}
	data, err := os.ReadFile(text)
	if err != nil {
		return nil, &cli.UsageError{Err: fmt.Errorf("%q is not an absolute http or https URL, as in https://api.example.com/v2/orders, nor a file", text)}
	}
	archived, err := cassette.ReadHAR(data)
	if err == nil {
		return f.fromHAR(cmd, archived)
	}
	if described := probe.Document(data); described != nil && !f.recorded {
		address, err := f.resource(cmd, described)
		if err == nil && strings.HasPrefix(address, "/") {
			err = &cli.UsageError{Err: fmt.Errorf("the description does not say where its API is: ask for https://HOST%s", address)}
		}
		return &source{address: address}, err
	}
	return nil, &cli.UsageError{Err: fmt.Errorf("%s is neither an HTTP Archive (HAR) nor an OpenAPI document: %w", text, err)}
}

// fromHAR takes a request of an archive: one that was answered with records.
func (f *initFlags) fromHAR(cmd *cobra.Command, archived []cassette.Archived) (*source, error) {
	var options []string
	first := map[string]*cassette.Archived{} // by what is shown
	for i, x := range archived {
		kind := x.Header.Get("Content-Type")
		u, err := url.Parse(x.URL)
		if err != nil || x.Method != http.MethodGet || x.Status != http.StatusOK || !strings.Contains(kind, "json") && !strings.Contains(kind, "csv") {
			continue
		}
		shown := u.Scheme + "://" + u.Host + u.EscapedPath()
		if first[shown] == nil {
			first[shown] = &archived[i]
			options = append(options, shown)
		}
	}
	if len(options) == 0 {
		return nil, &cli.UsageError{Err: errors.New("the HTTP Archive has no GET that was answered with JSON or CSV")}
	}
	shown, err := f.choose(cmd, "Which request?", options)
	if err != nil {
		return nil, err
	}
	x := first[shown]
	out := &source{address: x.URL, headers: sentBy(x.Asked)}
	if f.recorded {
		var exchanges []*cassette.Exchange
		for _, x := range archived {
			exchanges = append(exchanges, x.Exchange)
		}
		out.transport = cassette.NewPlayer(exchanges)
	}
	return out, nil
}

// browsers are headers that a browser sends by itself, by how they begin.
var browsers = []string{
	"host", "user-agent", "accept-", "connection", "referer", "origin", "sec-", "dnt", "pragma", "cache-control", "if-", "content-", "priority", "te",
	"upgrade-", "range", "keep-alive",
}

// sentBy are the headers of a request that its API may want, as of -H.
func sentBy(h http.Header) []string {
	var out []string
	for name, values := range h {
		own := !slices.ContainsFunc(browsers, func(begin string) bool { return strings.HasPrefix(strings.ToLower(name), begin) })
		if own && values[0] != "" && values[0] != "*/*" {
			out = append(out, name+": "+values[0])
		}
	}
	slices.Sort(out)
	return out
}

// resource chooses one of those that an API is described to have.
func (f *initFlags) resource(cmd *cobra.Command, described *probe.DocumentError) (string, error) {
	var options []string
	for _, line := range described.Endpoints {
		if address, _, _ := strings.Cut(line, "  "); !strings.Contains(address, "{") { // else a person has to fill it in
			options = append(options, line)
		}
	}
	if f.pick == "" && !f.interactive(cmd) && len(options) != 1 {
		return "", fmt.Errorf("%w\n--pick TEXT takes the one with that text in its URL", described)
	}
	if len(options) == 0 {
		return "", described
	}
	line, err := f.choose(cmd, "Which resource?", options)
	address, _, _ := strings.Cut(line, "  ")
	return address, err
}

// choose takes the option that --pick names, or the only one, or asks.
func (f *initFlags) choose(cmd *cobra.Command, question string, options []string) (string, error) {
	address := func(option string) string { return strings.SplitN(option, "  ", 2)[0] }
	left := slices.DeleteFunc(slices.Clone(options), func(o string) bool { return !strings.Contains(address(o), f.pick) })
	if i := slices.IndexFunc(left, func(o string) bool { return strings.HasSuffix(address(o), f.pick) }); f.pick != "" && i >= 0 {
		left = left[i : i+1]
	}
	switch {
	case len(left) == 1:
		return left[0], nil
	case len(left) == 0:
		return "", &cli.UsageError{Err: fmt.Errorf("--pick: none has %q in its URL:\n  %s", f.pick, strings.Join(options, "\n  "))}
	case f.interactive(cmd):
		return selectOne(cmd, question, left)
	}
	return "", &cli.UsageError{Err: fmt.Errorf("there are %d to choose from; --pick TEXT takes the one with that text in its URL:\n  %s", len(left), strings.Join(left, "\n  "))}
}
