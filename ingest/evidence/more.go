package evidence

import (
	"bytes"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// The names that APIs use, as plain has them.
var (
	moreNames = []string{
		"hasmore", "hasnext", "hasnextpage", "hasmoreitems", "hasmorepages", "more", "moreresults",
		"moreavailable", "morerecords", "morepages", "istruncated", "truncated", "incomplete",
		"incompleteresults",
	}
	lastNames = []string{
		"last", "islast", "islastpage", "lastpagereached", "endofstream", "endoflist", "isend",
		"isfinished",
	}
	nextNames = []string{
		"next", "nextpage", "nextcursor", "nextlink", "nexturl", "nexturi", "nexthref", "nextpagetoken",
		"nextpageurl", "nextpageuri", "nextpagelink", "nexttoken", "nextrecordsurl", "nextoffset", "nextid", "nextpageid",
		"nextpagecursor", "nextstart", "nextmarker", "nextkey", "nextpagekey", "nextcontinuationtoken",
		"continuationtoken", "continuation", "cursornext", "paginationtoken",
	}
	totalNames = []string{
		"total", "totalcount", "count", "totalresults", "totalrecords", "totalitems", "totalelements",
		"totalrows", "totalhits", "numresults", "numrecords", "numfound", "recordcount", "resultcount",
		"hits",
	}
	pagesNames = []string{
		"totalpages", "pages", "pagecount", "pagestotal", "numpages", "lastpage", "maxpage",
	}
	limitNames = []string{
		"limit", "perpage", "pagesize", "size", "count", "top", "first", "max", "maxresults", "maxrecords",
		"rows", "take", "n", "num", "pagelimit",
	}
)

// More is what says for sure that another page follows: a field such as has_more that is true, or a link or cursor to a
// next page. It lists each with its value.
func (b *Body) More() []string {
	var found []string
	for i := range b.fields {
		f := &b.fields[i]
		switch name := plain(f.name()); {
		case slices.Contains(moreNames, name) && f.yes(),
			slices.Contains(lastNames, name) && f.value.Kind() == 'f',
			slices.Contains(nextNames, name) && f.leads():
			found = append(found, f.is())
		case f.value.Kind() == '[' && linksNext(f.value):
			found = append(found, f.is())
		}
	}
	return found
}

// Flagged reports whether a field such as has_more says that another page follows. Links and cursors do not count: some
// APIs give them on each page.
func (b *Body) Flagged() bool {
	return slices.ContainsFunc(b.fields, func(f field) bool {
		name := plain(f.name())
		return slices.Contains(moreNames, name) && f.yes() || slices.Contains(lastNames, name) && f.value.Kind() == 'f'
	})
}

// NoMore reports whether the body says that no other page follows: a field such as has_more that is false, or next that
// is null; and nothing else says that one does.
func (b *Body) NoMore() bool {
	says := slices.ContainsFunc(b.fields, func(f field) bool {
		name := plain(f.name())
		switch {
		case slices.Contains(moreNames, name):
			return f.value.Kind() == 'f' || string(f.value) == "0"
		case slices.Contains(lastNames, name):
			return f.value.Kind() == 't'
		}
		return slices.Contains(nextNames, name) && f.value.Kind() == 'n'
	})
	return says && len(b.More()) == 0
}

// Beyond is what lets one think that the first page of a pass, which has so many records, is not all there is: a total
// above their number, several pages. It lists each with its value.
func (b *Body) Beyond(records int64) []string {
	var found []string
	for i := range b.fields {
		f := &b.fields[i]
		n, ok := f.number()
		switch name := plain(f.name()); {
		case !ok:
		case slices.Contains(totalNames, name) && n > records, slices.Contains(pagesNames, name) && n > 1:
			found = append(found, f.is())
		}
	}
	return found
}

// Total reports whether the body counts exactly so many records in all.
func (b *Body) Total(records int64) bool {
	for i := range b.fields {
		f := &b.fields[i]
		if n, ok := f.number(); ok && n == records && slices.Contains(totalNames, plain(f.name())) {
			return true
		}
	}
	return false
}

// Full says why a page with so many records looks full: see [AsAsked]; or their number is a common size of pages.
// Empty: it does not.
func Full(u *url.URL, records int64) string {
	if asked := AsAsked(u, records); asked != "" {
		return asked
	}
	if records >= 10 && (records <= 100 && records%10 == 0 || records%50 == 0 || records == 25) {
		return "it has exactly " + strconv.FormatInt(records, 10) + " records, which may be the API's size of a page"
	}
	return ""
}

// AsAsked says that a page has as many records as a parameter of u asks for; empty: it has not.
func AsAsked(u *url.URL, records int64) string {
	if u == nil || records == 0 {
		return ""
	}
	query := u.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if slices.Contains(limitNames, plain(name)) && query.Get(name) == strconv.FormatInt(records, 10) {
			return "it has " + query.Get(name) + " records, as many as the parameter " + name + " asks for"
		}
	}
	return ""
}

// yes reports whether a field says yes.
func (f *field) yes() bool {
	return f.value.Kind() == 't' || string(f.value) == "1" || f.text() == "true"
}

// leads reports whether a field has a cursor or link in it.
func (f *field) leads() bool {
	switch f.value.Kind() {
	case '"':
		return f.text() != "" && f.text() != "false" && f.text() != "null"
	case '0':
		n, ok := f.number()
		return !ok || n != 0
	case '{':
		return slices.ContainsFunc(Read(f.value).fields, func(x field) bool {
			return slices.Contains(linkNames, plain(x.name())) && x.leads()
		})
	}
	return false
}

var linkNames = []string{"href", "url", "uri", "link"}

// linksNext reports whether an array has an object for a link with the relation next.
func linksNext(array jsontext.Value) bool {
	dec := jsontext.NewDecoder(bytes.NewReader(array))
	if _, err := dec.ReadToken(); err != nil {
		return false
	}
	for dec.PeekKind() == '{' {
		v, err := dec.ReadValue()
		if err != nil {
			return false
		}
		next, target := false, false
		for _, f := range Read(v).fields {
			switch name := plain(f.name()); {
			case name == "rel" || name == "relation":
				next = f.text() == "next"
			case slices.Contains(linkNames, name):
				target = f.text() != ""
			}
		}
		if next && target {
			return true
		}
	}
	return false
}

// number is a whole number, or one in a text.
func (f *field) number() (int64, bool) {
	text := string(f.value)
	if f.value.Kind() == '"' {
		text = f.text()
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}
