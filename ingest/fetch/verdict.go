package fetch

import (
	"net/http"
	"time"
)

// Verdict is what the pipeline file says of an answer that is not a page. The zero Verdict says nothing.
type Verdict struct {
	Do  Action
	For time.Duration // of Wait: how long, where the API does not tell; 0: as before a retry
}

// Action is what is done about an answer.
type Action string

// The actions.
const (
	Retry   Action = "retry"   // the same request again, as after a 500
	Wait    Action = "wait"    // the whole API rests, then the same request again, any number of times
	Skip    Action = "skip"    // it counts as a page without records
	End     Action = "end"     // it counts as a page past the last one
	Fail    Action = "fail"    // it needs an operator
	Refresh Action = "refresh" // the token is renewed, then the same request again, once
	Split   Action = "split"   // the query has too many records: it is cut in smaller windows
)

// VerdictError is an error of a check about which the pipeline file has a word.
type VerdictError struct {
	Verdict Verdict
	Err     error
}

func (e *VerdictError) Error() string { return e.Err.Error() }

func (e *VerdictError) Unwrap() error { return e.Err }

// nothing is the answer of a request whose page is passed over, or is past the end.
func (v Verdict) nothing(c *Client, resp *http.Response, took time.Duration) *Answer {
	empty, _ := c.memory.Receive(http.NoBody, 0) // which takes no memory that could be missing
	return &Answer{
		Body: empty, Status: resp.StatusCode, URL: c.Strip(resp.Request.URL), Header: resp.Header, Time: time.Now(), Clock: clock(resp.Header, took),
		Nothing: http.StatusNoContent, PastEnd: v.Do == End, Skipped: v.Do == Skip, Ruled: true,
	}
}

// judged reports whether a verdict makes an answer of what came, in the place of an error.
func (v Verdict) judged() bool { return v.Do == Skip || v.Do == End }
