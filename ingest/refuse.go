package ingest

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/ingest/evidence"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
)

// AnswerError says that an answer is an error of the API, whatever its status.
type AnswerError struct {
	Says string // in the API's own words, shortened
}

func (e *AnswerError) Error() string { return "the answer is an error, whatever its status: " + e.Says }

// Quotes says that the answer's own words are shown.
func (e *AnswerError) Quotes() bool { return true }

// NullError says that null stands where an answer should have its records.
type NullError struct{ Path []string }

func (e *NullError) Error() string {
	return fmt.Sprintf("null stands where the records should be, at %s: "+
		"if that is how this API says that there are none, set ingest.null_is_empty: true",
		pipeline.FormatPath(e.Path))
}

// errorRule knows which answers are errors. It is read-only and may be used concurrently.
type errorRule struct {
	when  *expression.Program // nil: what is commonly an error
	scope *expression.Scope
	err   error // of compiling it
}

func newErrorRule(when string) errorRule {
	if when == "" {
		return errorRule{}
	}
	r := errorRule{scope: expression.NewScope()}
	if r.when, r.err = r.scope.Compile(when); r.err != nil {
		r.err = fmt.Errorf("ingest.error_when: %w", r.err)
	}
	return r
}

// check returns an *[AnswerError] if an answer without its records is an error.
func (r *errorRule) check(rest jsontext.Value, records []string) error {
	if r.err != nil {
		return r.err
	}
	if len(rest) == 0 {
		return nil // the answer is the array of records
	}
	says := evidence.Read(rest).Failure(records)
	if r.when != nil {
		is, err := r.holds(rest)
		if err != nil {
			return fmt.Errorf("ingest.error_when: %w", err)
		}
		switch {
		case !is:
			says = ""
		case says == "":
			says = evidence.Short(rest, 300)
		}
	}
	if says == "" {
		return nil
	}
	return &AnswerError{Says: says}
}

// holds evaluates the expression. null is not true.
func (r *errorRule) holds(rest jsontext.Value) (bool, error) {
	frame := r.scope.NewFrame()
	if err := r.scope.NewExtractor().Extract(frame, rest); err != nil {
		return false, err
	}
	v, err := r.when.Eval(frame)
	if err != nil {
		return false, err
	}
	is, ok := v.True()
	if !ok && !v.Absent() {
		return false, fmt.Errorf("%s is of type %s; it must be true or false", r.when, v.Kind())
	}
	return is, nil
}

// verdict says what is wrong with an answer that was taken apart with err: an error that it tells itself comes first.
func (r *reader) verdict(a *fetch.Answer, got *cut.Answer, err error) error {
	var none *cut.NoRecordsError
	if err != nil && !errors.As(err, &none) {
		return r.tooLarge(err)
	}
	if judged := r.rules.page(a.Status, got.Rest); judged != nil {
		return judged
	}
	if wrong := r.wrong.check(got.Rest, r.envelope.Records); wrong != nil {
		return wrong
	}
	switch {
	case none != nil && got.Rest != nil:
		return fmt.Errorf("%w; its fields are: %s", err, evidence.Read(got.Rest).Names())
	case err != nil:
		return err
	case got.Null && !r.nullEmpty && !evidence.Read(got.Rest).Total(0):
		return &NullError{Path: r.envelope.Records}
	}
	return nil
}
