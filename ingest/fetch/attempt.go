package fetch

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/millrace-io/millrace/ingest/fetch/auth"
	"github.com/millrace-io/millrace/ingest/request"
)

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
	return c.exchange(r, req, receipt{token: token, check: check}, pastEnd)
}

// exchange sends a request, and receives what is answered to it.
func (c *Client) exchange(
	of *request.Request, req *http.Request, r receipt, pastEnd []int,
) (a *Answer, after time.Duration, err error) {
	r.start = time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, -1, c.unanswered(of, resp, err, r.start)
	}
	oneToken := len(c.h.Auth.Bearers) == 0 && (c.h.Auth.APIKey == nil || len(c.h.Auth.APIKey.Values) == 0)
	c.budget.pace.learn(r.start, resp.StatusCode, resp.Header, oneToken)
	packed := unpack(resp)
	defer func() { _ = resp.Body.Close() }()
	if packed != nil {
		return nil, -1, c.fail(of, resp.StatusCode, packed, "")
	}
	again := c.seen(r.token, resp)
	r.past = slices.Contains(pastEnd, resp.StatusCode)
	if resp.StatusCode/100 != 2 && resp.StatusCode != http.StatusNotModified && !r.past {
		return c.noPage(of, req, resp, r, again)
	}
	a, err = c.receive(of, req, resp, r)
	return a, -1, err
}

// unanswered is the error of a request without an answer. resp is a redirect that was not followed, whose body is
// closed, or nil.
func (c *Client) unanswered(of *request.Request, resp *http.Response, err error, start time.Time) error {
	status := 0
	if resp != nil {
		status = resp.StatusCode
	}
	c.Observe.Request(status, time.Since(start))
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	return c.fail(of, status, err, hint(status))
}

// noPage is what an answer comes to whose status is not that of a page. again says that another token may do.
func (c *Client) noPage(
	of *request.Request, req *http.Request, resp *http.Response, r receipt, again bool,
) (a *Answer, after time.Duration, err error) {
	body := beginning(resp)
	err = c.unexpected(resp, req.URL, body)
	took := time.Since(r.start)
	c.Observe.Request(resp.StatusCode, took)
	e := c.fail(of, resp.StatusCode, err, hint(resp.StatusCode))
	e.again = again
	if c.Judge != nil {
		e.verdict = c.Judge(resp.StatusCode, body)
	}
	if e.verdict.judged() {
		a := e.verdict.nothing(c, resp, took)
		return a, -1, r.check(a)
	}
	if e.verdict.Do == Refresh && c.Session != nil {
		e.again = c.Session.Refused(r.token)
	}
	if d, ok := retryAfter(resp.Header, answered(resp.Header)); ok {
		e.After = d
		return nil, d, e
	}
	return nil, -1, e
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
