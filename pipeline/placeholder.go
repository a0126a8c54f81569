package pipeline

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// The placeholders that stand for something else in each request, beside the name of the slices. They may stand in a
// path, in a parameter of the query, in a header and in a body: {since}. What holds one that stands for nothing, on the
// first page or in the first pass, is left out of the request: the parameter, the header, or the member of the body.
const (
	PlaceSince  = "since"  // of the pass, as Incremental.Format says
	PlaceUntil  = "until"  // of a window, what it ends before; of a pass that has no end, a time to come
	PlaceCursor = "cursor" // of the page: its number, its offset, or what leads to it
	PlaceLimit  = "limit"  // records asked for, of those paginations that have a size
)

// Placeholder matches {name}, or {name:text}, which stands for a text in a JSON body, too; and {stream.field}, a field
// of the record that a request is made from. Its first group is the name.
var Placeholder = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*|[a-z0-9][a-z0-9_-]*\.[^{}:\n]+)(:text)?\}`)

// PlaceholdersIn lists the names of the placeholders in a text.
func PlaceholdersIn(text string) []string {
	var names []string
	for _, m := range Placeholder.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// Placeholders are the names of the placeholders that stand for something in the requests of a stream.
func (i *Ingest) Placeholders() map[string]bool {
	known := map[string]bool{}
	for _, list := range i.Slices.Lists() {
		known[list.Name] = true
	}
	for name := range i.ParentFields() {
		known[name] = true
	}
	if i.Incremental != nil {
		known[PlaceSince] = true
		if i.Incremental.Window != nil {
			known[PlaceUntil] = true
		}
	}
	if p := &i.Paginate; p.Page != nil || p.Offset != nil || p.Cursor != nil || p.Keyset != nil {
		known[PlaceCursor] = true
		if p.Cursor == nil {
			known[PlaceLimit] = true
		}
	}
	return known
}

// ParentFields are the fields of the parent's records that stand in placeholders, as paths, by the name of the
// placeholder: orders.id is the field id of the parent orders. What is no path is not among them.
func (i *Ingest) ParentFields() map[string][]string {
	fields := map[string][]string{}
	if i.ForEach == nil {
		return fields
	}
	for _, text := range i.texts() {
		for _, name := range PlaceholdersIn(text) {
			field, ok := strings.CutPrefix(name, i.ForEach.Parent+".")
			if path, err := ParsePath(field); ok && err == nil {
				fields[name] = path
			}
		}
	}
	return fields
}

// texts are those in which placeholders may stand. A body in JSON is one text.
func (i *Ingest) texts() []string {
	all := []string{i.Path}
	for _, list := range i.Query {
		all = append(all, list...)
	}
	for _, value := range i.HTTP.Headers {
		all = append(all, value.Reveal())
	}
	for _, a := range i.Add {
		all = append(all, a.Text)
	}
	if b := i.Body; b != nil {
		all = append(all, string(b.JSON), b.Text)
		all = append(all, slices.Concat(slices.Collect(maps.Values(b.Form))...)...)
	}
	return all
}
