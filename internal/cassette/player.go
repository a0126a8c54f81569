package cassette

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/millrace-io/millrace/internal/redact"
)

// Player is a transport that gives recorded answers. A request gets the first answer that was recorded for its method,
// path, query and body and that was not given yet; where all were given, the last one again. Scheme and host do not
// count, nor do parameters whose value was hidden. It may be used concurrently.
type Player struct {
	exchanges []*Exchange

	mu     sync.Mutex
	given  []int    // how often, by exchange
	asked  []string // requests in order, as METHOD path?query
	misses []string // requests without an answer
}

// NewPlayer plays exchanges.
func NewPlayer(exchanges []*Exchange) *Player {
	return &Player{exchanges: exchanges, given: make([]int, len(exchanges))}
}

// RoundTrip is that of [http.RoundTripper]. A request that was not recorded is answered [NotRecorded], with what comes
// nearest.
func (p *Player) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	var sent []byte
	if req.Body != nil {
		var err error
		if sent, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		_ = req.Body.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	best := -1
	for i, x := range p.exchanges {
		if !x.answers(req.Method, req.URL, sent) {
			continue
		}
		if best < 0 || p.given[i] <= p.given[best] && p.given[best] > 0 {
			best = i
		}
	}
	p.asked = append(p.asked, req.Method+" "+req.URL.RequestURI())
	if best < 0 {
		p.misses = append(p.misses, req.Method+" "+req.URL.RequestURI())
		return respond(req, &Exchange{Status: NotRecorded, Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte(p.nearest(req))}), nil
	}
	p.given[best]++
	return respond(req, p.exchanges[best]), nil
}

// NotRecorded is the status of an answer to what was not recorded. Nobody takes it for the end of the pages.
const NotRecorded = http.StatusUnavailableForLegalReasons

// Asked lists the requests in order, as GET /path?query.
func (p *Player) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// Misses lists the requests that were not recorded.
func (p *Player) Misses() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.misses)
}

// Unasked lists the recorded requests that nobody made.
func (p *Player) Unasked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for i, x := range p.exchanges {
		if p.given[i] == 0 {
			out = append(out, x.Method+" "+requestURI(x.URL))
		}
	}
	return out
}

// BaseURL is what the path of the first exchange was appended to, which ends in path if it is known.
func (p *Player) BaseURL(path string) string {
	u, err := url.Parse(p.exchanges[0].URL)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host + strings.TrimSuffix(u.EscapedPath(), path)
}

// At is a base URL with the scheme and host of the first exchange, which the links in the answers lead to; base itself,
// if the exchange names no host.
func (p *Player) At(base string) string {
	recorded, err := url.Parse(p.exchanges[0].URL)
	if err != nil || recorded.Host == "" {
		return base
	}
	u, err := url.Parse(base)
	if err != nil {
		return base
	}
	u.Scheme, u.Host = recorded.Scheme, recorded.Host
	return u.String()
}

func (p *Player) nearest(req *http.Request) string {
	var same []string
	for _, x := range p.exchanges {
		if u, err := url.Parse(x.URL); err == nil && u.Path == req.URL.Path {
			same = append(same, x.Method+" "+requestURI(x.URL))
		}
	}
	if len(same) == 0 {
		return "the cassette has no answer for this path"
	}
	return "the cassette has no answer for this query; of this path it has " + strings.Join(same, ", ")
}

func requestURI(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return u.RequestURI()
}

// answers reports whether x was recorded for such a request.
func (x *Exchange) answers(method string, u *url.URL, sent []byte) bool {
	recorded, err := url.Parse(x.URL)
	if err != nil || x.Method != method || recorded.Path != u.Path {
		return false
	}
	want, got := recorded.Query(), u.Query()
	for name, values := range want {
		if slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, redact.Hidden) }) {
			delete(want, name)
			delete(got, name)
		}
	}
	return maps.EqualFunc(want, got, slices.Equal[[]string]) && sameBody(x.Sent, sent)
}

// sameBody compares bodies of requests: JSON by what it means.
func sameBody(a, b []byte) bool {
	a, b = bytes.TrimSpace(a), bytes.TrimSpace(b)
	if bytes.Equal(a, b) || bytes.Contains(a, []byte(redact.Hidden)) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func respond(req *http.Request, x *Exchange) *http.Response {
	return &http.Response{
		Status: fmt.Sprintf("%d %s", x.Status, http.StatusText(x.Status)), StatusCode: x.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: x.Header.Clone(), Body: io.NopCloser(bytes.NewReader(x.Body)), ContentLength: int64(len(x.Body)), Request: req,
	}
}
