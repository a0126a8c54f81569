package probe

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/evidence"
	"github.com/millrace-io/millrace/internal/infer"
	"github.com/millrace-io/millrace/pipeline"
)

// changes is how to ask for what has changed.
type changes struct {
	field  []string // of a record; nil: there is none
	param  string   // empty: none was found
	format string   // of the parameter; empty: as the field is
	start  string   // that the URL had
	seen   string
	guess  string
}

// sinceParams are parameters that ask for what has changed since, best first.
var sinceParams = []string{
	"updated_since", "since", "updated_after", "modified_since", "updatedafter", "modified_after", "updatedAfter", "updated_at_min", "updatedSince",
	"updated_at[gte]", "modifiedSince", "changed_since", "updated_from", "start_time", "from",
}

// mostSince is how many of them are tried.
const mostSince = 9

// since finds the field that says when a record was changed, and the parameter that asks by it.
func (f *finder) since(ctx context.Context) changes {
	field := f.sample.Changed()
	if field == nil {
		return changes{}
	}
	c := changes{field: field.Path}
	highest, lowest := f.span(field)
	query := f.first.asked.Query()
	for _, name := range sinceParams {
		if text := query.Get(name); text != "" {
			c.param, c.start, c.seen = name, text, "the URL has "+name
			return c
		}
	}
	if highest == "" || highest == lowest {
		c.guess = "which parameter asks for what has changed cannot be seen: all records of the first page changed at the same time"
		return c
	}
	if f.tryParams(ctx, field, highest, &c) {
		return c
	}
	c.guess = "no parameter that asks for what has changed was found, so each pass fetches everything; " +
		"if the API has one: incremental: {field: " + pipeline.FormatPath(field.Path) + ", param: NAME}"
	return c
}

// tryParams looks for a parameter that leaves out what has not changed since a time below the highest, and notes it in
// c.
func (f *finder) tryParams(ctx context.Context, field *infer.Field, highest string, c *changes) bool {
	names := slices.Clone(sinceParams)
	own := evidence.Plain(field.Name())
	slices.SortStableFunc(names, func(a, b string) int { return related(b, own) - related(a, own) })
	// Something was changed later than what is asked for, so that an answer without records shows that the API took the
	// parameter for something else: some compare a column of that name, which no record has.
	asked := f.below(field, highest)
	values := []string{asked}
	formats := []string{""}
	if unit := field.Unit(); unit != "" {
		values, formats = []string{rfc3339(asked, unit), asked}, []string{"rfc3339", ""}
	}
	for i, value := range values {
		for _, name := range names[:mostSince] {
			if f.ask.left <= 2 {
				break
			}
			records, err := f.second(ctx, with(f.first.asked, name, value), "whether "+name+" leaves out what has not changed")
			if err != nil || !f.filtered(field, records, asked) {
				continue
			}
			c.param, c.format = name, formats[i]
			c.seen = fmt.Sprintf("%s=%s left out what changed before", name, value)
			return true
		}
	}
	return false
}

// related says how near the name of a parameter is to that of the field.
func related(param, field string) int {
	for _, root := range []string{"updat", "modif", "chang"} {
		if strings.Contains(field, root) && strings.Contains(param, root) {
			return 2
		}
	}
	if param == "since" {
		return 1
	}
	return 0
}

// span is the highest and the lowest value of a field on the first page, as they are written.
func (f *finder) span(field *infer.Field) (highest, lowest string) {
	for _, r := range f.records {
		v := infer.Value(r, field.Path)
		if v == nil || v.Kind() == 'n' {
			continue
		}
		text := infer.Text(v)
		if highest == "" || later(text, highest) {
			highest = text
		}
		if lowest == "" || later(lowest, text) {
			lowest = text
		}
	}
	return highest, lowest
}

// below is the highest value of a field below another, of a first page that has such.
func (f *finder) below(field *infer.Field, limit string) (highest string) {
	for _, r := range f.records {
		v := infer.Value(r, field.Path)
		if v == nil || v.Kind() == 'n' {
			continue
		}
		if text := infer.Text(v); later(limit, text) && (highest == "" || later(text, highest)) {
			highest = text
		}
	}
	return highest
}

// later reports whether time a is after b. Times of one API are written alike.
func later(a, b string) bool {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	if errX == nil && errY == nil {
		return x > y
	}
	return a > b
}

// filtered reports whether an answer has records, only such that changed at a time or later, and is another than the
// first one.
func (f *finder) filtered(field *infer.Field, records []jsontext.Value, since string) bool {
	for _, r := range records {
		v := infer.Value(r, field.Path)
		if v == nil || later(since, infer.Text(v)) {
			return false
		}
	}
	return len(records) > 0 && (len(records) < len(f.records) || f.overlap(records) < len(records))
}

func rfc3339(text, unit string) string {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return text
	}
	if unit == "unix" {
		return time.Unix(n, 0).UTC().Format(time.RFC3339)
	}
	return time.UnixMilli(n).UTC().Format(time.RFC3339)
}
