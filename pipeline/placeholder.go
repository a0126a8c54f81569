package pipeline

import "regexp"

// The placeholders that stand for something else in each request, beside the name of the slices. They may stand in a
// path, in a parameter of the query, in a header and in a body: {since}. What holds one that stands for nothing, on the
// first page or in the first pass, is left out of the request: the parameter, the header, or the member of the body.
const (
	PlaceSince  = "since"  // of the pass, as Incremental.Format says
	PlaceCursor = "cursor" // of the page: its number, its offset, or what leads to it
	PlaceLimit  = "limit"  // records asked for, of those paginations that have a size
)

// Placeholder matches {name}, or {name:text}, which stands for a text in a JSON body, too. Its first group is the name.
var Placeholder = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*)(:text)?\}`)

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
	if i.Slices != nil {
		known[i.Slices.Name] = true
	}
	if i.Incremental != nil {
		known[PlaceSince] = true
	}
	if p := &i.Paginate; p.Page != nil || p.Offset != nil || p.Cursor != nil || p.Keyset != nil {
		known[PlaceCursor] = true
		if p.Cursor == nil {
			known[PlaceLimit] = true
		}
	}
	return known
}
