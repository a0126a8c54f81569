package probe

import (
	"fmt"
	"strconv"

	"github.com/millrace-io/millrace/pipeline"
)

// paginateText is a pagination as YAML; empty: none.
func paginateText(p pipeline.Paginate) string {
	switch {
	case p.Link != nil:
		return "{link: {absent_ends: true}}"
	case p.Cursor != nil:
		return "{cursor: {" + cursorText(p.Cursor) + "}}"
	case p.Keyset != nil:
		text := "field: " + scalar(pathText(p.Keyset.Field)) + ", param: " + scalar(p.Keyset.Param)
		if p.Keyset.First != "" {
			text += ", first: " + quoted(p.Keyset.First)
		}
		return "{keyset: {" + text + sizeText(p.Keyset.SizeParam, p.Keyset.Size) + stopText(p.Keyset.Stop) + "}}"
	case p.Page != nil:
		text := "param: " + scalar(p.Page.Param)
		if p.Page.Start != 1 {
			text += ", start: " + strconv.FormatInt(p.Page.Start, 10)
		}
		return "{page: {" + text + sizeText(p.Page.SizeParam, p.Page.Size) + stopText(p.Page.Stop) + pastText(p.Page.PastEnd) + "}}"
	case p.Offset != nil:
		return "{offset: {" + offsetText(p.Offset) + stopText(p.Offset.Stop) + pastText(p.Offset.PastEnd) + "}}"
	}
	return ""
}

func cursorText(c *pipeline.BodyCursor) string {
	text := "next: " + scalar(pathText(c.Next))
	if c.Param != "" {
		text += ", param: " + scalar(c.Param)
	}
	if c.First != "" {
		text += ", first: " + quoted(c.First)
	}
	if c.AbsentEnds {
		text += ", absent_ends: true"
	}
	text += stopText(c.Stop)
	if c.Keep != nil {
		text += ", keep: {}"
	}
	return text
}

// sizeText is the parameter for the size of pages; empty: there is none.
func sizeText(param string, size int) string {
	if param == "" {
		return ""
	}
	return ", size_param: " + scalar(param) + ", size: " + strconv.Itoa(size)
}

func offsetText(o *pipeline.OffsetLimit) string {
	text := "param: " + scalar(o.Param)
	if o.LimitParam != "" {
		text += ", limit_param: " + scalar(o.LimitParam)
	}
	text += ", limit: " + strconv.Itoa(o.Limit)
	if o.Start != 0 {
		text += ", start: " + strconv.FormatInt(o.Start, 10)
	}
	return text
}

func stopText(s pipeline.StopRule) string {
	switch {
	case s.When == "":
		return ""
	case s.Header != "":
		return fmt.Sprintf(", stop: {%s_header: %s}", s.When, s.Header)
	case s.Field == nil:
		return ", stop: " + s.When
	}
	return fmt.Sprintf(", stop: {%s: %s}", s.When, scalar(pathText(s.Field)))
}

func pastText(statuses []int) string {
	if len(statuses) == 0 {
		return ""
	}
	return fmt.Sprintf(", past_end: %d", statuses[0])
}
