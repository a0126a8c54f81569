package ingest

import (
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/evidence"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/pipeline"
)

// rules are what the pipeline file says is done about answers that are no pages. They are read-only and may be used
// concurrently.
type rules []rule

type rule struct {
	pipeline.ErrorRule

	when errorRule
}

func newRules(in *pipeline.Ingest) (rules, error) {
	var all rules
	for i, r := range in.Errors {
		made := rule{ErrorRule: r}
		if r.When != "" {
			if made.when = newErrorRule(r.When); made.when.err != nil {
				return nil, fmt.Errorf("ingest.errors[%d].when: %w", i, made.when.err)
			}
		}
		all = append(all, made)
	}
	return all, nil
}

// judge is the verdict of the first rule that holds for a status and a body, of a page without its records. A body that
// is no JSON object is none for which an expression holds; nor is one on which it cannot be evaluated.
func (rs rules) judge(status int, body []byte) fetch.Verdict {
	for _, r := range rs {
		if len(r.Statuses) > 0 && !slices.ContainsFunc(r.Statuses, func(s pipeline.StatusRange) bool { return s.From <= status && status <= s.To }) {
			continue
		}
		if r.When != "" {
			v := jsontext.Value(body)
			if !v.IsValid() || v.Kind() != '{' {
				continue
			}
			if is, err := r.when.holds(v); err != nil || !is {
				continue
			}
		}
		return fetch.Verdict{Do: fetch.Action(r.Do), For: r.For}
	}
	return fetch.Verdict{}
}

// page is [rules.judge] for an answer with status 2xx: only what a rule says of its body counts, as any page has that
// status.
func (rs rules) page(status int, rest jsontext.Value) error {
	if len(rest) == 0 {
		return nil
	}
	var about rules
	for _, r := range rs {
		if r.When != "" {
			about = append(about, r)
		}
	}
	v := about.judge(status, rest)
	if v.Do == "" {
		return nil
	}
	says := evidence.Read(rest).Failure(nil)
	if says == "" {
		says = evidence.Short(rest, 300)
	}
	return &fetch.VerdictError{Verdict: v, Err: &AnswerError{Says: says}}
}
