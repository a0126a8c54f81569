package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/millrace-io/millrace/ingest/request"
)

// Stream is an answer that has no end. It must be closed.
type Stream struct {
	Body   io.Reader
	URL    *url.URL // of the answer, after redirects, without credentials
	Header http.Header
	Clock  time.Time // the API's; zero: it does not tell

	close func()
}

// Close ends the request.
func (s *Stream) Close() { s.close() }

// Stream makes one attempt at a request whose answer is of a media type and has no end, or comes piece by piece. The
// time of the pipeline file is for its headers; then it goes on until it is closed. Its errors are an *[Error], and
// that of ctx. A token that is refused is renewed, and the request made once more.
func (c *Client) Stream(ctx context.Context, r *request.Request, accept string) (*Stream, error) {
	s, err := c.stream(ctx, r, accept)
	if e, ok := errors.AsType[*Error](err); ok && e.again {
		c.Observe.Retry(e)
		s, err = c.stream(ctx, r, accept)
	}
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return s, err
}

func (c *Client) stream(ctx context.Context, r *request.Request, accept string) (_ *Stream, err error) {
	start := time.Now()
	ctx, token, err := c.token(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.budget.Wait(ctx); err != nil {
		return nil, err
	}
	c.Observe.Waited(time.Since(start))
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		if err != nil {
			cancel()
		}
	}()
	late := time.AfterFunc(c.timeout(), cancel)
	req, err := c.request(ctx, r)
	if err != nil {
		return nil, c.fail(r, http.StatusForbidden, err, "")
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Accept-Encoding", "identity") // a coding may hold back what was sent
	req.Header.Set("Cache-Control", "no-store")
	start = time.Now()
	resp, err := c.http.Do(req)
	if !late.Stop() && err != nil {
		err = context.DeadlineExceeded
	}
	if err != nil {
		return nil, c.unanswered(r, nil, err, start)
	}
	c.Observe.Request(resp.StatusCode, time.Since(start))
	closing := func() { cancel(); _ = resp.Body.Close() }
	if e := c.noStream(r, req, resp, token, accept); e != nil {
		closing()
		return nil, e
	}
	return &Stream{Body: resp.Body, URL: c.Strip(resp.Request.URL), Header: resp.Header, Clock: clock(resp.Header, time.Since(start)), close: closing}, nil
}

// noStream says what is wrong with an answer; nil: it is a stream.
func (c *Client) noStream(r *request.Request, req *http.Request, resp *http.Response, token, accept string) *Error {
	if err := unpack(resp); err != nil {
		return c.fail(r, resp.StatusCode, err, "")
	}
	again := c.seen(token, resp)
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode == http.StatusNoContent:
		return c.fail(r, resp.StatusCode, errors.New("HTTP status 204: there is nothing to follow"), "")
	case resp.StatusCode/100 == 2 && kind == accept:
		return nil
	case resp.StatusCode/100 == 2:
		return c.fail(r, resp.StatusCode, fmt.Errorf("the answer is %.60q, and not %s", kind, accept), "check ingest.path: this is no stream of events")
	}
	body := beginning(resp)
	e := c.fail(r, resp.StatusCode, c.unexpected(resp, req.URL, body), hint(resp.StatusCode))
	e.again = again
	if d, ok := retryAfter(resp.Header, answered(resp.Header)); ok {
		e.After = d
		c.budget.Pause(d)
	}
	return e
}

// Backoff is how long to wait after the attempt of that number, from 1.
func (c *Client) Backoff(attempt int) time.Duration { return backoff(c.h.Retry, attempt) }
