package fetch

import (
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/millrace-io/millrace/ingest/fetch/auth"
	"github.com/millrace-io/millrace/pipeline"
)

// Client fetches the pages of one stream. It may be used concurrently.
type Client struct {
	Observe Observer // set before the first use
	// Judge says what the pipeline file says of an answer whose status is not that of a page, and of the beginning of its
	// body; nil: nothing of any.
	Judge func(status int, body []byte) Verdict

	// requests wait for those of clients of the same budget that are not low; set before the first use
	Low     bool
	Session auth.Session // so is this; nil: the credentials stay as they are

	// Convert may give JSON in the place of a body, which is UTF-8 for sure if known, and then says what it was; nil:
	// bodies stay as they are.
	Convert func(body io.Reader, h http.Header, known bool) (json io.Reader, was string)

	ZipEntry string // name of the file in an archive, as [path.Match] reads it; empty: there is one

	h      pipeline.HTTP
	home   pipeline.Origin // that may see the credentials
	auth   auth.All
	seal   sealer
	http   http.Client
	budget *Budget
	memory *Memory
	redact *Redactor
}

// Observer is told of what a client does, for metrics.
type Observer struct {
	Request func(status int, took time.Duration) // status 0: no answer
	Retry   func(err *Error)
	Waited  func(time.Duration) // for the rate limit
	Rests   func(time.Duration) // as long as no request may be made, because the API says that its quota is used up
}

// NewClient returns a client. transport is shared by all clients of a process, so that they share connections.
func NewClient(h pipeline.HTTP, transport http.RoundTripper, budget *Budget, memory *Memory) *Client {
	credentials := auth.For(h)
	c := &Client{
		h: h, auth: credentials, budget: budget, memory: memory, redact: NewRedactor(h, credentials),
		seal:    newSealer(h.Secrets),
		Observe: Observer{Request: func(int, time.Duration) {}, Retry: func(*Error) {}, Waited: func(time.Duration) {}, Rests: func(time.Duration) {}},
	}
	if u, err := url.Parse(h.BaseURL); err == nil {
		c.home = pipeline.OriginOf(u)
	}
	c.http = http.Client{Transport: transport, CheckRedirect: c.redirect}
	return c
}

// Redactor hides the secrets of this client's API.
func (c *Client) Redactor() *Redactor { return c.redact }

// Budget is what this client's API allows.
func (c *Client) Budget() *Budget { return c.budget }

// Name is a text in which the names of references stand for their values, so that it does not change with them.
func (c *Client) Name(text string) string { return c.seal.name(text) }

// Strip removes from a URL that the API gave what [Client.Do] puts into each request, and other secrets, which Do
// puts back, so that it can be kept.
func (c *Client) Strip(u *url.URL) *url.URL { return c.seal.seal(c.auth.StripURL(u)) }

// Answer is a page as it came. Its body must be closed.
type Answer struct {
	Body   *Body
	Status int
	URL    *url.URL // of the answer, after redirects, without credentials
	Header http.Header
	Was    string    // as [Client.Convert] says; empty: the body is as it came
	Time   time.Time // when it was received
	Clock  time.Time // the API's when it was asked, or before; zero: it does not tell

	// Nothing is the HTTP status of an answer without a body, which says that there is nothing to give; 0: it has a
	// body.
	Nothing int
	Skipped bool // the pipeline file says that the page is passed over
	PastEnd bool // that status is one of those given to [Client.Do]
	Ruled   bool // a rule of the pipeline file says what it is, not its status
}

// Plain is c for answers that are no pages: their bodies stay as they are.
func (c *Client) Plain() *Client {
	p := *c
	p.Convert, p.ZipEntry = nil, ""
	return &p
}
