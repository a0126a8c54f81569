package paginate

import (
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/pipeline"
)

// stop is how the end of an addressable pagination is known.
type stop struct {
	rule pipeline.StopRule
	size int64 // records asked for; 0: not known
}

func newStop(rule pipeline.StopRule, size int) stop {
	if rule.When == "" || rule.When == "short" && size == 0 {
		rule.When = "empty"
	}
	return stop{rule: rule, size: int64(size)}
}

// Wants is the field that the rule asks for.
func (s stop) Wants() Wants {
	if s.rule.When == "total" || s.rule.When == "has_more" {
		return Wants{Fields: [][]string{s.rule.Field}}
	}
	return Wants{}
}

// ended applies the rule; seen counts the records of the pass with those of page.
func (s stop) ended(seen int64, page *Page) (Reason, error) {
	switch s.rule.When {
	case "short":
		return endedIf(int64(page.Records) < s.size, ShortPage), nil
	case "total":
		total, ok := s.total(page)
		if !ok {
			return GoesOn, newFieldError(s.rule.Field, page.field(), "the number of records")
		}
		if page.Records == 0 {
			return EmptyPage, nil
		}
		return endedIf(seen >= total, TotalReached), nil
	case "has_more":
		switch string(page.field()) {
		case "true":
			return GoesOn, nil
		case "false":
			return NoMore, nil
		}
		return GoesOn, newFieldError(s.rule.Field, page.field(), "true or false")
	}
	return endedIf(page.Records == 0, EmptyPage), nil
}

func endedIf(ended bool, reason Reason) Reason {
	if ended {
		return reason
	}
	return GoesOn
}

// Pages says how many pages the total of page makes.
func (s stop) Pages(page *Page) (pages int64, ok bool) {
	if s.rule.When != "total" || s.size == 0 {
		return 0, false
	}
	total, ok := s.total(page)
	return (total + s.size - 1) / s.size, ok
}

func (s stop) total(page *Page) (n int64, ok bool) {
	n, err := strconv.ParseInt(strings.Trim(string(page.field()), `"`), 10, 64)
	return n, err == nil
}
