package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/pipeline"
)

// request is r as it is sent: with the credentials, if it goes to the API that they are for.
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
	if !home { // a next page elsewhere does not get the credentials
		return req, nil
	}
	c.auth.Apply(req)
	for name, values := range r.Header {
		req.Header.Del(name)
		for _, v := range values {
			req.Header.Add(name, v)
		}
	}
	return req, c.auth.Sign(req)
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
