package paginate

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/evidence"
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
	if s.rule.Field != nil {
		return Wants{Fields: [][]string{s.rule.Field}}
	}
	return Wants{}
}

// field is what the rule asks for: a value of the body, or of a header.
func (s stop) field(page *Page) jsontext.Value {
	if s.rule.Header == "" {
		return page.field()
	}
	if text := page.Header.Get(s.rule.Header); text != "" {
		return jsontext.Value(strconv.Quote(text))
	}
	return nil
}

// path names what the rule asks for.
func (s stop) path() []string {
	if s.rule.Header != "" {
		return []string{"header " + s.rule.Header}
	}
	return s.rule.Field
}

// step is how many records a page is sure to cover: as many as were asked for, or, if no page so far had so many, as
// the largest one had. An API may give fewer than it is asked for.
func (s stop) step(most int64) int64 {
	if most > 0 && (most < s.size || s.size == 0) {
		return most
	}
	return s.size
}

// ended applies the rule to the page at p, of which asked says up to which record it is sure to reach. next is the
// position after it; ended completes it.
func (s stop) ended(p Position, page *Page, next *Position, asked int64) (Reason, error) {
	next.Asked = asked
	if page.Nothing != 0 {
		return s.nothing(p, page)
	}
	switch s.rule.When {
	case "total":
		return s.byTotal(p, page, next)
	case "pages":
		return s.byPages(p, page, next)
	case "has_more", "end":
		return s.byFlag(p, page, s.field(page))
	}
	body := evidence.Read(page.Rest)
	next.Closing, page.More = body.NoMore(), body.Flagged()
	switch n := int64(page.Records); {
	case n == 0 && !body.Flagged():
		return EmptyPage, nil
	case s.rule.When == "short" && n > 0 && n < s.size && p.Most >= s.size:
		// A short page may lack records that this client may not see, or be cut at a limit of the API's own: only where
		// a full one came before is it the last.
		return ShortPage, nil
	}
	return GoesOn, nil
}

// nothing is an answer without a body: it has no field that could say whether there is more.
func (s stop) nothing(p Position, page *Page) (Reason, error) {
	switch when := s.rule.When; {
	case p.Index == 0:
	case when == "total" && p.Asked < p.Total || when == "pages" && p.Index < p.Total:
		return GoesOn, &EarlyEndError{Total: p.Total, Of: s.of(), Seen: p.Seen}
	case (when == "has_more" || when == "end") && !page.PastEnd:
		return GoesOn, newFieldError(s.path(), nil, page, "true or false")
	}
	return page.noContent(), nil
}

// pastEnd are the statuses that mean that the page at p is past the last one: those that are declared, and, where the
// page before said that it is the last, those that APIs commonly have for it.
func pastEnd(p Position, declared []int) []int {
	switch {
	case p.Index == 0:
		return nil
	case p.Closing:
		return append(slices.Clip(declared), http.StatusNotFound, http.StatusBadRequest, http.StatusGone,
			http.StatusRequestedRangeNotSatisfiable, http.StatusUnprocessableEntity)
	}
	return declared
}

func (s stop) of() string {
	if s.rule.When == "pages" {
		return "pages"
	}
	return "records"
}

// total is what the field counts. On a page after the first it may be missing: it was there on the one before.
func (s stop) total(p Position, page *Page) (int64, error) {
	total, ok := number(s.field(page))
	if s.field(page) == nil && p.Index > 0 {
		return p.Total, nil
	}
	if !ok {
		return 0, newFieldError(s.path(), s.field(page), page, "the number of "+s.of())
	}
	return total, nil
}

// byTotal ends a pass when as many records came as the API counts, or when nothing more came and all that it counts was
// asked for. A page without records before that is an error.
func (s stop) byTotal(p Position, page *Page, next *Position) (Reason, error) {
	total, err := s.total(p, page)
	if err != nil {
		return GoesOn, err
	}
	next.Total, page.More = total, p.Asked < total
	switch n := int64(page.Records); {
	case n == 0 && p.Asked >= total:
		return TotalReached, nil
	case n == 0:
		return GoesOn, &EarlyEndError{Total: total, Of: s.of(), Seen: p.Seen}
	case p.Index == 0 && n > total, p.Index == 1 && p.Seen >= total:
		return GoesOn, newFieldError(s.path(), s.field(page), page, "the number of all records, "+
			"and there are more than that already: does it count pages, or the records of one page?")
	case p.Index == 0 && n == total && s.full(page):
		return GoesOn, nil // it may be the number of this page's records: the next page shows
	}
	return endedIf(next.Seen >= total, TotalReached), nil
}

// full reports whether a page may be one of several, and does not say that it is the last.
func (s stop) full(page *Page) bool {
	n := int64(page.Records)
	if evidence.Read(page.Rest).NoMore() {
		return false
	}
	return s.size > 0 && n >= s.size || s.size == 0 && evidence.Full(page.Asked, n) != ""
}

// byPages ends a pass with the last page that the API counts. A page without records before that is an error.
func (s stop) byPages(p Position, page *Page, next *Position) (Reason, error) {
	total, err := s.total(p, page)
	if err != nil {
		return GoesOn, err
	}
	next.Total, page.More = total, p.Index+1 < total
	if p.Index+1 >= total {
		if more := evidence.Read(page.Rest).More(); p.Index == 0 && len(more) > 0 {
			return GoesOn, newMoreError(s.path(), page, more)
		}
		return TotalReached, nil
	}
	if page.Records == 0 {
		return GoesOn, &EarlyEndError{Total: total, Of: s.of(), Seen: p.Index}
	}
	return GoesOn, nil
}

// byFlag reads a field that says whether another page follows, or whether this was the last one. The former may be
// missing on a page after the first: it was there on the one before, and said yes.
func (s stop) byFlag(p Position, page *Page, v jsontext.Value) (Reason, error) {
	yes := false
	switch strings.Trim(string(v), `"`) {
	case "true", "1":
		yes = true
	case "false", "0", "null":
	default:
		n, counts := number(v) // of what is left, as in pending
		if yes = counts && n > 0; !counts && (v != nil || p.Index == 0 || s.rule.When == "end") {
			return GoesOn, newFieldError(s.path(), v, page, "true or false, or how many are left")
		}
	}
	ended := endedIf(yes == (s.rule.When == "end"), NoMore)
	page.More = ended == GoesOn
	return ended, nil
}

func endedIf(ended bool, reason Reason) Reason {
	if ended {
		return reason
	}
	return GoesOn
}

// Pages says how many pages the total of page makes.
func (s stop) Pages(page *Page) (pages int64, ok bool) {
	total, ok := number(s.field(page))
	switch {
	case !ok:
	case s.rule.When == "pages":
		return total, true
	case s.rule.When == "total" && s.size > 0:
		return (total + s.size - 1) / s.size, true
	}
	return 0, false
}

// number reads a whole number, or one in a text.
func number(v jsontext.Value) (n int64, ok bool) {
	text := strings.Trim(string(v), `"`)
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil {
		return n, n >= 0
	}
	f, err := strconv.ParseFloat(text, 64)
	return int64(f), err == nil && f >= 0 && f < 1<<53 && f == math.Trunc(f)
}
