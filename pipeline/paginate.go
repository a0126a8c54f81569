package pipeline

// Paginate is exactly one of its fields, or none for an API that answers everything at once.
type Paginate struct {
	Page   *PageNumber
	Offset *OffsetLimit
	Cursor *BodyCursor
	Link   *LinkHeader
	Keyset *Keyset
	Auto   bool // the first page shows it
}

// StopRule says how the end of a pagination is known: a page without records (empty), with fewer than asked for after
// one that was full (short), the last page once more (repeat), or a field of the body: the number of all records
// (total) or pages (pages), whether there is more (has_more), whether this was the end (end).
type StopRule struct {
	// "empty", "short", "repeat", "total", "pages", "has_more" or "end"; of a cursor "", "has_more" or "end"
	When   string
	Field  []string // path of object keys, for those that need one
	Header string   // of the answer that holds the total or the pages, in the place of Field
}

// PageNumber numbers pages: ?page=1&per_page=100.
type PageNumber struct {
	Param     string
	Start     int64
	SizeParam string // empty: the size is not sent
	Size      int    // records a page; 0: not known
	Stop      StopRule
	PastEnd   []int // HTTP statuses with which the API answers for a page after the last one
}

// OffsetLimit addresses pages by the number of records before them: ?offset=200&limit=100.
type OffsetLimit struct {
	Param      string
	LimitParam string
	Limit      int
	Start      int64 // offset of the first record; 0 for most APIs, 1 for some
	Stop       StopRule
	PastEnd    []int // HTTP statuses with which the API answers for an offset after the last record
}

// BodyCursor is an opaque cursor in the body, or in a header, that is sent back. null, "", 0 or false ends the pass; so
// does a missing one, but on the first page of a pass only if nothing says that there is more.
type BodyCursor struct {
	Next   []string // path of object keys to the cursor; nil: it is in Header
	Header string   // of the answer that holds the cursor
	// what the cursor is, of the constants; "": CursorValue, or CursorURL if neither Param nor Placed is set
	As         string
	Take       string   // of a cursor that is a URL: only the value of this parameter of its query is the cursor
	Param      string   // that takes the cursor; empty: see Placed
	Placed     bool     // the cursor stands where {cursor} is in the request
	First      string   // the cursor of the first page; empty: that is asked for without one
	Stop       StopRule // a field that says whether there is more, beside the cursor; When "": there is none
	AbsentEnds bool     // the API leaves the cursor out where there is no other page: no notice about it
	Keep       *Keep    // the position from which the next pass goes on; nil: each pass begins again
}

// What a cursor is.
const (
	CursorValue   = "value"   // it is sent back as it is
	CursorURL     = "url"     // a URL, absolute or relative, that is followed
	CursorParams  = "params"  // a URL of which the parameters of the query are put into the request
	CursorMembers = "members" // an object whose members are put into the query of the request
)

// Keep is a position that outlives a pass: a delta link, a sync token, the number of the last change. The last page of
// a pass holds it, and the next pass asks from there, for what has changed since.
type Keep struct {
	Field []string // path of object keys to it, on the last page
	Param string   // query parameter that takes it on all pages of a pass; empty: it takes the place of the first cursor
}

// Keyset goes on after the last record of a page: ?starting_after=<its id>.
type Keyset struct {
	Field     []string // path of the field of a record that is sent back
	Param     string   // that takes it; empty: it stands where {cursor} is in the request
	First     string   // what the first page is asked for with; empty: nothing
	SizeParam string   // empty: the size is not sent
	Size      int      // records a page; 0: not known
	Stop      StopRule
}

// LinkHeader follows rel=next of the Link header (RFC 8288).
type LinkHeader struct {
	Rel        string // default next
	Params     bool   // only the parameters of the link's query are taken, into the request: host and path stay
	AbsentEnds bool   // the API leaves the header out where there is no other page: no notice about it
}
