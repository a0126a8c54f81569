package fetch

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/millrace-io/millrace/ingest/request"
)

// receipt is how an answer is received.
type receipt struct {
	start time.Time // of the request
	token string    // that it showed; empty: none
	past  bool      // it stands for a page past the last one: what comes with it is not a page
	check checkFunc
}

// receive reads an answer to its end and has it checked.
func (c *Client) receive(of *request.Request, req *http.Request, resp *http.Response, r receipt) (*Answer, error) {
	content, err := c.open(resp, r.past)
	if err != nil {
		return nil, c.fail(of, resp.StatusCode, err, "")
	}
	defer content.close()
	body, err := c.memory.Receive(content.from, content.size)
	took := time.Since(r.start)
	c.Observe.Request(resp.StatusCode, took)
	if err == nil {
		a := &Answer{
			Body: body, Status: resp.StatusCode, URL: c.Strip(resp.Request.URL), Header: resp.Header, Was: content.was,
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
	} else {
		err = cutOff(err, body)
	}
	body.Close()
	return nil, c.refused(of, resp.StatusCode, r.token, err)
}

// content is the body of an answer as it is kept.
type content struct {
	from io.Reader
	size int64     // -1: it is not known
	was  string    // as [Client.Convert] says
	file *unzipped // that from reads; nil: none
}

func (c content) close() {
	if c.file != nil {
		c.file.Close()
	}
}

// open returns the body of an answer unpacked, in UTF-8, and as JSON if it is to be converted; of a page past the last
// one, nothing.
func (c *Client) open(resp *http.Response, past bool) (content, error) {
	if past {
		_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
		return content{from: http.NoBody}, nil
	}
	file, left, err := c.unzip(resp.Body, resp.ContentLength, resp.Header)
	if err != nil {
		return content{}, err
	}
	out := content{file: file}
	charset := c.charset(resp.Header)
	if out.from, out.size, err = c.inUTF8(limited(file, c.h.MaxBody), left, charset); err != nil {
		out.close()
		return content{}, err
	}
	if c.Convert != nil {
		if out.from, out.was = c.Convert(out.from, resp.Header, charset != ""); out.was != "" {
			out.size = -1
		}
	}
	return out, nil
}

// cutOff says of an error of receiving how far the answer came, unless it is for want of room.
func cutOff(err error, body *Body) error {
	if disk, size := (*DiskError)(nil), (*SizeError)(nil); errors.As(err, &disk) || errors.As(err, &size) {
		return err
	}
	return fmt.Errorf("answer cut off after %d bytes: %w", body.Size(), err)
}

// refused is the error of an answer that is not the page, given what is wrong with it.
func (c *Client) refused(of *request.Request, status int, token string, err error) error {
	if errors.Is(err, ErrFinal) {
		return err
	}
	e := c.fail(of, status, err, "")
	if v, ok := errors.AsType[*VerdictError](err); ok {
		e.verdict = v.Verdict
		if e.verdict.Do == Refresh && c.Session != nil {
			e.again = c.Session.Refused(token)
		}
	}
	return e
}
