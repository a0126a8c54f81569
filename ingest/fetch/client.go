package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/millrace-io/millrace/ingest/fetch/auth"
	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
)

// Client fetches the pages of one stream. It may be used concurrently.
type Client struct {
	Observe Observer // set before the first use
	// Judge says what the pipeline file says of an answer whose status is not that of a page, and of the beginning of its
	// body; nil: nothing of any.
	Judge func(status int, body []byte) Verdict

	Low     bool         // requests wait for those of clients of the same budget that are not low; set before the first use
	Session auth.Session // so is this; nil: the credentials stay as they are

	// Convert may give JSON in the place of a body, which is UTF-8 for sure if known, and then says what it was; nil: bodies
	// stay as they are.
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

// Get is [Client.Do] for a GET of u.
func (c *Client) Get(ctx context.Context, u *url.URL, check func(*Answer) error, pastEnd ...int) (*Answer, error) {
	return c.Do(ctx, request.Get(u), check, pastEnd...)
}

// Do makes a request and has check look at the answer, again and again until an attempt succeeds, ctx ends (its error), or
// it returns an *[Error]: what needs an operator at once, what is transient after the number of attempts that the
// pipeline allows. An error of check counts as a cut answer unless it wraps [ErrFinal].
//
// 204, 304, and 200 with an empty body, are answers without a body, and so is a status in pastEnd, whatever comes with
// it.
func (c *Client) Do(ctx context.Context, r *request.Request, check func(*Answer) error, pastEnd ...int) (*Answer, error) {
	renewed := false
	for attempt := 1; ; attempt++ {
		a, after, err := c.attempt(ctx, r, check, pastEnd)
		if err == nil {
			return a, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var e *Error
		if !errors.As(err, &e) {
			return nil, err
		}
		renews := e.Status == http.StatusUnauthorized || e.verdict.Do == Refresh
		if e.again && (!renews || !renewed) { // with another token, which it is not the fault of
			renewed = renewed || renews
			c.Observe.Retry(e)
			attempt--
			continue
		}
		if e.verdict.Do == Wait {
			if after < 0 {
				after = max(e.verdict.For, backoff(c.h.Retry, attempt))
			}
			e.After = after
			c.Observe.Retry(e)
			c.budget.Pause(after)
			attempt = min(attempt, 1) - 1
			if err := stage.Sleep(ctx, after); err != nil {
				return nil, err
			}
			continue
		}
		e.Tried = attempt
		if !e.Transient() || attempt >= max(c.h.Retry.Attempts, 1) {
			if after > 0 {
				c.budget.Pause(after)
			}
			return nil, e
		}
		c.Observe.Retry(e)
		if after < 0 {
			after = backoff(c.h.Retry, attempt)
		}
		if e.Status == http.StatusTooManyRequests {
			c.budget.Pause(after)
		}
		if err := stage.Sleep(ctx, after); err != nil {
			return nil, err
		}
	}
}

// ErrFinal marks an error of a check that another attempt would meet again.
var ErrFinal = errors.New("another attempt does not help")

// checkFunc looks at an answer; its error says that it is not the page that was asked for.
type checkFunc func(*Answer) error

// attempt makes one request. after is what the API asked us to wait; negative: nothing.
func (c *Client) attempt(
	ctx context.Context, r *request.Request, check checkFunc, pastEnd []int,
) (a *Answer, after time.Duration, err error) {
	start := time.Now()
	ctx, token, err := c.token(ctx)
	if err != nil {
		return nil, -1, err
	}
	if rest := c.budget.pace.rests(); rest > 0 {
		c.Observe.Rests(rest)
	}
	leave, err := c.budget.enter(ctx, c.Low, func() { c.Observe.Waited(time.Since(start)) })
	if err != nil {
		return nil, -1, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	req, err := c.request(ctx, r)
	if err != nil {
		return nil, -1, c.fail(r, http.StatusForbidden, err, "")
	}
	start = time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		status := 0
		if resp != nil { // a redirect that was not followed; its body is closed
			status = resp.StatusCode
		}
		c.Observe.Request(status, time.Since(start))
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return nil, -1, c.fail(r, status, err, hint(status))
	}
	c.budget.pace.learn(start, resp.StatusCode, resp.Header, len(c.h.Auth.Bearers) == 0 && (c.h.Auth.APIKey == nil || len(c.h.Auth.APIKey.Values) == 0))
	packed := unpack(resp)
	defer func() { _ = resp.Body.Close() }()
	if packed != nil {
		return nil, -1, c.fail(r, resp.StatusCode, packed, "")
	}
	again := c.seen(token, resp)
	past := slices.Contains(pastEnd, resp.StatusCode)
	if resp.StatusCode/100 != 2 && resp.StatusCode != http.StatusNotModified && !past {
		body := beginning(resp)
		err = c.unexpected(resp, req.URL, body)
		c.Observe.Request(resp.StatusCode, time.Since(start))
		e := c.fail(r, resp.StatusCode, err, hint(resp.StatusCode))
		e.again = again
		if c.Judge != nil {
			e.verdict = c.Judge(resp.StatusCode, body)
		}
		if e.verdict.judged() {
			a := e.verdict.nothing(c, resp, time.Since(start))
			return a, -1, check(a)
		}
		if e.verdict.Do == Refresh && c.Session != nil {
			e.again = c.Session.Refused(token)
		}
		if d, ok := retryAfter(resp.Header, answered(resp.Header)); ok {
			e.After = d
			return nil, d, e
		}
		return nil, -1, e
	}
	a, err = c.receive(r, req, resp, receipt{start, token, past, check})
	return a, -1, err
}

// token has the session's token put into the request of the context that it returns.
func (c *Client) token(ctx context.Context) (context.Context, string, error) {
	if c.Session == nil {
		return ctx, "", nil
	}
	token, err := c.Session.Token(ctx)
	if e, ok := errors.AsType[*auth.Error](err); ok {
		return ctx, "", &Error{Method: http.MethodPost, URL: e.URL, Status: e.Status, Text: c.redact.Text(e.Text), Hint: e.Hint}
	}
	if err != nil {
		return ctx, "", err
	}
	c.redact.learn(token)
	return auth.With(ctx, token), token, nil
}

// seen tells the session what the API says of its token, and reports whether another may do.
func (c *Client) seen(token string, resp *http.Response) bool {
	switch {
	case c.Session == nil:
		return false
	case resp.StatusCode == http.StatusUnauthorized:
		return c.Session.Refused(token)
	}
	return c.Session.Seen(token, resp.StatusCode, resp.Header)
}

// receipt is how an answer is received.
type receipt struct {
	start time.Time // of the request
	token string    // that it showed; empty: none
	past  bool      // it stands for a page past the last one: what comes with it is not a page
	check checkFunc
}

// receive reads an answer to its end and has it checked.
func (c *Client) receive(
	of *request.Request, req *http.Request, resp *http.Response, r receipt,
) (a *Answer, err error) {
	content, size := io.Reader(resp.Body), resp.ContentLength
	if r.past {
		_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
		content, size = http.NoBody, 0
	} else {
		file, left, err := c.unzip(content, size, resp.Header)
		if err != nil {
			return nil, c.fail(of, resp.StatusCode, err, "")
		}
		defer file.Close()
		if content, size, err = c.inUTF8(limited(file, c.h.MaxBody), left, resp.Header); err != nil {
			return nil, c.fail(of, resp.StatusCode, err, "")
		}
	}
	was := ""
	if c.Convert != nil && !r.past {
		if content, was = c.Convert(content, resp.Header, c.charset(resp.Header) != ""); was != "" {
			size = -1
		}
	}
	body, err := c.memory.Receive(content, size)
	took := time.Since(r.start)
	c.Observe.Request(resp.StatusCode, took)
	if err == nil {
		a = &Answer{
			Body: body, Status: resp.StatusCode, URL: c.Strip(resp.Request.URL), Header: resp.Header, Was: was,
			Time: time.Now(), Clock: clock(resp.Header, took), PastEnd: r.past,
		}
		if body.Blank() {
			a.Nothing = resp.StatusCode
		}
		if err = r.check(a); err == nil {
			return a, nil
		}
		if v, ok := errors.AsType[*VerdictError](err); ok && v.Verdict.judged() {
			body.Close()
			a = v.Verdict.nothing(c, resp, took)
			return a, r.check(a)
		}
		if !errors.Is(err, ErrFinal) {
			err = c.notThePage(err, resp, body, req.URL)
		}
	} else if disk, size := (*DiskError)(nil), (*SizeError)(nil); !errors.As(err, &disk) && !errors.As(err, &size) {
		err = fmt.Errorf("answer cut off after %d bytes: %w", body.Size(), err)
	}
	body.Close()
	if errors.Is(err, ErrFinal) {
		return nil, err
	}
	e := c.fail(of, resp.StatusCode, err, "")
	if v, ok := errors.AsType[*VerdictError](err); ok {
		e.verdict = v.Verdict
		if e.verdict.Do == Refresh && c.Session != nil {
			e.again = c.Session.Refused(r.token)
		}
	}
	return nil, e
}

// fail is the error of a request.
func (c *Client) fail(r *request.Request, status int, err error, hint string) *Error {
	return &Error{Method: r.Method, URL: c.redact.URL(r.URL), Status: status, Text: c.redact.Text(cause(err)), Hint: hint, kind: kindOf(status, err)}
}

func (c *Client) timeout() time.Duration {
	if c.h.Timeout > 0 {
		return c.h.Timeout
	}
	return 30 * time.Second
}

func (c *Client) request(ctx context.Context, r *request.Request) (*http.Request, error) {
	u := r.URL
	home := pipeline.OriginOf(u) == c.home
	opened, err := c.seal.open(u)
	switch {
	case err != nil:
		return nil, err
	case opened != u && !home:
		return nil, fmt.Errorf("the next page's URL holds a secret of the pipeline file and leads to another place than %s", c.home)
	}
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	public, err := c.may(opened)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(reaching(ctx, opened, public), r.Method, opened.String(), body)
	if err != nil {
		return nil, errors.New("malformed URL") // the error itself would quote it
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", acceptEncoding)
	req.Header.Set("User-Agent", "millrace")
	if r.Type != "" {
		req.Header.Set("Content-Type", r.Type)
	}
	if home { // a next page elsewhere does not get the credentials
		c.auth.Apply(req)
		for name, values := range r.Header {
			req.Header.Del(name)
			for _, v := range values {
				req.Header.Add(name, v)
			}
		}
	}
	if home {
		return req, c.auth.Sign(req)
	}
	return req, nil
}

// redirect keeps the credentials from other places, and refuses to leave TLS: what comes in clear text may be
// anybody's.
func (c *Client) redirect(req *http.Request, via []*http.Request) error {
	from, to := pipeline.OriginOf(via[len(via)-1].URL), pipeline.OriginOf(req.URL)
	if len(via) >= 10 {
		return fmt.Errorf("more than 10 redirects, the last to %s", c.redact.URL(req.URL))
	}
	if from.LeavesTLS(to) {
		return fmt.Errorf("redirect to %s refused: it leads from https to http", c.redact.URL(req.URL))
	}
	public, err := c.may(req.URL)
	if err != nil {
		return err
	}
	if to != c.home && req.Body != nil && req.Body != http.NoBody {
		return fmt.Errorf("redirect to %s refused: it would take the body of the request along", c.redact.URL(req.URL))
	}
	restrict(req.Context(), req.URL, public)
	req.Header.Del("Referer") // it would hold the parameters of the first request
	if to == c.home {
		c.auth.ApplyHeaders(req.Context(), req.Header) // net/http compares hosts by their spelling, and may have dropped some
		if err := c.auth.Sign(req); err != nil {
			return err
		}
	} else {
		c.auth.Strip(req.Header)
	}
	return nil
}

// Plain is c for answers that are no pages: their bodies stay as they are.
func (c *Client) Plain() *Client {
	p := *c
	p.Convert, p.ZipEntry = nil, ""
	return &p
}
