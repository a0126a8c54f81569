package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
)

// Error says that a page could not be had. Its text holds no secret.
type Error struct {
	Method string
	URL    string        // without secrets
	Status int           // HTTP status; 0: there was no answer
	Text   string        // what went wrong, without secrets
	Hint   string        // what a person may do; empty: wait
	Tried  int           // attempts made
	After  time.Duration // how long the API asked us to wait; 0: it did not

	verdict Verdict // of the pipeline file
	again   bool    // with another token, at once
	kind    string  // what stays equal when the same request fails again in the same way
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s %s: %s", cmp.Or(e.Method, http.MethodGet), e.URL, e.Text)
	if e.Tried > 1 {
		s += fmt.Sprintf(" (after %d attempts)", e.Tried)
	}
	if e.After > 0 {
		s += fmt.Sprintf("; the API asks for a pause of %v", e.After.Round(time.Second))
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap is what stays equal when the same request fails again in the same way.
func (e *Error) Unwrap() error {
	if e.kind != "" {
		return kindError(e.kind)
	}
	return statusError(e.Status)
}

// kindOf is what stays equal of an answer that is not the page: what is wrong with it, not what it says. Of any other
// it is the status alone.
func kindOf(status int, err error) string {
	var u *unexpectedError
	if status/100 != 2 || !errors.As(err, &u) {
		return ""
	}
	return stage.ReasonKind(u.err.Error())
}

type kindError string

func (e kindError) Error() string { return string(e) }

// statusError is an HTTP status; 0: there was no answer.
type statusError int

func (e statusError) Error() string {
	if e == 0 {
		return "no answer"
	}
	return fmt.Sprintf("HTTP status %d", int(e))
}

// Transient reports whether the same request may succeed soon.
func (e *Error) Transient() bool {
	switch {
	case e.verdict.Do == Fail, e.verdict.Do == Split:
		return false
	case e.verdict.Do == Retry, e.verdict.Do == Wait:
		return true
	case e.Status == http.StatusTooManyRequests, e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooEarly:
		return true
	case e.Status == 0, e.Status >= 500, e.Status/100 == 2: // 2xx: cut, or not what it should be
		return true
	}
	return false
}

// Splits reports whether the pipeline file says that the request asked for more than the API shows of one query.
func (e *Error) Splits() bool { return e.verdict.Do == Split }

func hint(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "check http.auth: the API does not know these credentials"
	case http.StatusForbidden:
		return "check http.auth: the API refuses these credentials this resource, or refuses this client"
	case http.StatusNotFound, http.StatusGone:
		return "check http.base_url and ingest.path"
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "check ingest.query, paginate and incremental: the API does not understand a parameter"
	}
	if status/100 == 4 || status/100 == 3 {
		return "check http and ingest in the pipeline file against the API's manual"
	}
	return ""
}

// cause is the text of an error without the URL that net/http puts into it.
func cause(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no complete answer within http.timeout"
	}
	return err.Error()
}
