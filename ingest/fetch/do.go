package fetch

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/internal/stage"
)

// Get is [Client.Do] for a GET of u.
func (c *Client) Get(ctx context.Context, u *url.URL, check func(*Answer) error, pastEnd ...int) (*Answer, error) {
	return c.Do(ctx, request.Get(u), check, pastEnd...)
}

// Do makes a request and has check look at the answer, again and again until an attempt succeeds, ctx ends (its error),
// or it returns an *[Error]: what needs an operator at once, what is transient after the number of attempts that the
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
		switch {
		case e.again && (!renews || !renewed): // with another token, which it is not the fault of
			renewed = renewed || renews
			c.Observe.Retry(e)
			attempt--
			err = nil
		case e.verdict.Do == Wait:
			err = c.wait(ctx, e, after, attempt)
			attempt = min(attempt, 1) - 1
		default:
			e.Tried = attempt
			err = c.backOff(ctx, e, after)
		}
		if err != nil {
			return nil, err
		}
	}
}

// wait waits as the pipeline file says of an answer. after is what the API asked for; negative: nothing.
func (c *Client) wait(ctx context.Context, e *Error, after time.Duration, attempt int) error {
	if after < 0 {
		after = max(e.verdict.For, backoff(c.h.Retry, attempt))
	}
	e.After = after
	c.Observe.Retry(e)
	c.budget.Pause(after)
	return stage.Sleep(ctx, after)
}

// backOff waits until the next attempt. It returns e if there is none. after is as that of wait.
func (c *Client) backOff(ctx context.Context, e *Error, after time.Duration) error {
	if !e.Transient() || e.Tried >= max(c.h.Retry.Attempts, 1) {
		if after > 0 {
			c.budget.Pause(after)
		}
		return e
	}
	c.Observe.Retry(e)
	if after < 0 {
		after = backoff(c.h.Retry, e.Tried)
	}
	if e.Status == http.StatusTooManyRequests {
		c.budget.Pause(after)
	}
	return stage.Sleep(ctx, after)
}

// ErrFinal marks an error of a check that another attempt would meet again.
var ErrFinal = errors.New("another attempt does not help")
