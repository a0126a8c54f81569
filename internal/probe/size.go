package probe

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/millrace-io/millrace/ingest/evidence"
	"github.com/millrace-io/millrace/internal/infer"
	"github.com/millrace-io/millrace/pipeline"
)

// pageSize is how many records a full page has. Without a parameter it is not sent.
type pageSize struct {
	param string
	n     int // 0: not known
}

// wanted is how many records are asked for where the API takes so many.
const wanted = 100

// size finds the parameter for the number of records, and a number that the API grants. n is nil for offsets.
func (f *finder) size(ctx context.Context, n *pipeline.PageNumber) pageSize {
	query := f.first.asked.Query()
	for _, name := range sizeParams {
		if k, err := strconv.Atoi(query.Get(name)); err == nil && k > 0 && (evidence.SizeName(name) || name == "pagelen") {
			return pageSize{name, k}
		}
	}
	have := len(f.records)
	names := []string{"per_page", "limit", "page_size", "pageSize"}
	if n == nil {
		names = []string{"limit", "size", "pageSize"}
	}
	for _, field := range f.told() {
		name := field.Path[len(field.Path)-1]
		if infer.Text(field.Value) == strconv.Itoa(have) && slices.ContainsFunc(sizeParams, func(s string) bool { return evidence.Plain(s) == evidence.Plain(name) }) && evidence.Plain(name) != "count" {
			names = append([]string{name}, slices.DeleteFunc(names, func(s string) bool { return s == name })...)
		}
	}
	if have >= wanted {
		return f.smaller(ctx, names, have)
	}
	for _, name := range names[:min(len(names), 4)] {
		records, err := f.second(ctx, with(f.first.asked, name, strconv.Itoa(wanted)), fmt.Sprintf("whether %s=%d brings more records", name, wanted))
		if err == nil && len(records) > have {
			f.more(records)
			return pageSize{name, max(wanted, len(records))} // there may be no more than these, or a limit of the API's own
		}
	}
	return pageSize{n: have}
}

// smaller looks for the parameter by asking for few records, where a page has many.
func (f *finder) smaller(ctx context.Context, names []string, have int) pageSize {
	for _, name := range names[:min(len(names), 3)] {
		records, err := f.second(ctx, with(f.first.asked, name, "7"), "whether "+name+"=7 brings 7 records")
		if err == nil && len(records) == 7 {
			return pageSize{name, have}
		}
	}
	return pageSize{n: have}
}

// pastStatuses are statuses that APIs have for a page after the last.
var pastStatuses = []int{
	http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusRequestedRangeNotSatisfiable, http.StatusUnprocessableEntity,
}

// end finds how the last page is known.
func (f *finder) end(ctx context.Context, n *pipeline.PageNumber, o *pipeline.OffsetLimit, size int) (stop pipeline.StopRule, pastEnd []int, guess string) {
	if stop = f.flag(); stop.When != "" {
		return stop, nil, ""
	}
	have := int64(len(f.records))
	for _, role := range []evidence.Role{evidence.AllPages, evidence.AllCount} {
		for _, field := range f.told() {
			v, err := strconv.ParseInt(infer.Text(field.Value), 10, 64)
			switch {
			case err != nil || field.Role != role:
			case role == evidence.AllPages && v > 1 && n != nil && size == len(f.records):
				return pipeline.StopRule{When: "pages", Field: field.Path}, nil, ""
			case role == evidence.AllPages && v > 1 && n != nil:
				return pipeline.StopRule{When: "pages", Field: field.Path}, nil, ""
			case role == evidence.AllCount && v > have:
				return pipeline.StopRule{When: "total", Field: field.Path}, nil, ""
			}
		}
	}
	for _, name := range []string{"X-Total", "X-Total-Count", "X-WP-Total", "Total-Count", "X-Pagination-Total-Count"} {
		if v, err := strconv.ParseInt(f.first.header.Get(name), 10, 64); err == nil && v > have {
			return pipeline.StopRule{When: "total", Header: name}, nil, ""
		}
	}
	var param, far string
	if n != nil {
		param, far = n.Param, "100000"
	} else {
		param, far = o.Param, "1000000"
	}
	records, err := f.second(ctx, with(f.first.asked, param, far), fmt.Sprintf("how %s=%s, which is past the end, is answered", param, far))
	switch code := status(err); {
	case err == nil && len(records) == 0:
		return pipeline.StopRule{}, nil, ""
	case err == nil:
		return pipeline.StopRule{When: "repeat"}, nil, fmt.Sprintf("a page far past the end has %d records: it is taken for the last one again", len(records))
	case slices.Contains(pastStatuses, code):
		return pipeline.StopRule{}, []int{code}, ""
	}
	return pipeline.StopRule{}, nil, "how the API answers for a page after the last one is not known"
}
