package paginate

import (
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/pipeline"
)

// Pager is one kind of pagination. It is read-only and may be used concurrently.
type Pager interface {
	// Identity names the kind and the settings that give a position its meaning. When they change, a pass that is
	// under way begins again.
	Identity() []string

	// Wants is what [Pager.Next] must be told of a page besides its records' number, URL and headers.
	Wants() Wants

	// First is where a pass begins.
	First() Position

	// Stands is what the placeholders of the pagination stand for in the request for the page at p.
	Stands(p Position) request.Values

	// URL is the page at p of the resource at base, a URL with all parameters that do not belong to the pagination. A
	// position that is itself a URL replaces base.
	URL(base *url.URL, p Position) (*url.URL, error)

	// Next is the position after the page at p, or the reason why there is none. An error means that the page does not
	// say what the pipeline file expects of it, so that going on, or ending, could lose pages in silence.
	Next(p Position, page *Page) (Position, Reason, error)
}

// Addressable is a [Pager] whose pages can be asked for before the page before them has answered.
type Addressable interface {
	Pager

	// Guess is the position after a full page at p.
	Guess(p Position) Position

	// Pages is how many pages a pass can have at most, as page says; ok is false if it does not.
	Pages(page *Page) (pages int64, ok bool)
}

// Leader is a [Pager] whose pages lead from one to the next by something that each of them shows.
type Leader interface {
	Pager

	// Shows reports whether page has what leads on, be it to nowhere.
	Shows(page *Page) bool

	// Shown names what that is.
	Shown() string
}

// Ending is a [Pager] whose API may answer with a status of its own for what lies after the last page.
type Ending interface {
	Pager

	// PastEnd lists these statuses, for the page at p.
	PastEnd(p Position) []int
}

// New returns the pager of a stream. p has at most one field set; without any, a pass is one page.
func New(p pipeline.Paginate) Pager {
	for _, kind := range []func(pipeline.Paginate) Pager{ // each returns nil for settings of another kind
		newPageNumber,
		newOffset,
		newBodyCursor,
		newLink,
		newKeyset,
		newAuto,
	} {
		if pager := kind(p); pager != nil {
			return pager
		}
	}
	return single{}
}

// Keeper is a [Pager] whose API gives a position that outlives the pass.
type Keeper interface {
	Pager

	// Kept is the position that the last page of a pass gives to the passes to come; empty: none, as with an answer
	// without content. An error means that the page should have one. page.Strip must be set.
	Kept(page *Page) (string, error)

	// From is where a pass begins that goes on from what was kept.
	From(kept string) Position
}

// Position is where a page is in its pass.
type Position struct {
	Index   int64  `json:"index"`            // of the page in its pass, from 0
	At      int64  `json:"at,omitzero"`      // page number or offset, where pages have one
	Cursor  string `json:"cursor,omitempty"` // that the page before gave, or an absolute URL; empty: none
	JSON    bool   `json:"json,omitzero"`    // Cursor is a JSON value that is no text
	From    string `json:"from,omitempty"`   // what was kept of the pass before; empty: nothing
	Seen    int64  `json:"seen,omitzero"`    // records on the pages before this one
	Most    int64  `json:"most,omitzero"`    // records on the largest of them
	Asked   int64  `json:"asked,omitzero"`   // up to which record they are sure to reach
	Total   int64  `json:"total,omitzero"`   // that the page before counted, of records or pages
	Empty   int64  `json:"empty,omitzero"`   // pages in a row before this one that had no records
	Last    uint64 `json:"last,omitzero"`    // hash of the records of the page before; 0: there are none
	Closing bool   `json:"closing,omitzero"` // the page before said that no other follows
}

// after is the position after the page at p, without At and Cursor, which are the pager's to fill in.
func (p Position) after(page *Page) Position {
	n := int64(page.Records)
	next := Position{Index: p.Index + 1, Seen: p.Seen + n, Most: max(p.Most, n), Total: p.Total, From: p.From}
	if n == 0 {
		next.Empty = p.Empty + 1
	}
	return next
}

// Wants is what a pager needs of an answer.
type Wants struct {
	Fields [][]string // paths of object keys to values outside the records
	Last   []string   // path of a field of the last record: with a keyset, the next page begins after it; nil: none
}

// Page is what a page said.
type Page struct {
	Records int              // number of records
	Fields  []jsontext.Value // as Wants.Fields; nil: absent
	Last    jsontext.Value   // as Wants.Last; nil: absent
	URL     *url.URL         // of the answer, to resolve relative URLs
	Header  http.Header      // of the answer
	Asked   *url.URL         // of the request; nil: not known
	Rest    jsontext.Value   // the answer without its records: see cut.Answer
	Nothing int              // HTTP status of an answer without a body; 0: it has one
	Skipped bool             // the pipeline file says that it is passed over
	PastEnd bool             // that status is one of [Ending.PastEnd]
	Shown   bool             // an answer of this stream had what [Leader.Shows] asks for

	// More is set by [Pager.Next] where the API says itself that records follow that were not asked for yet.
	More bool

	// Doubt is set by [Pager.Next] where a pass ends and something speaks against that. It is for a person to look at.
	Doubt string

	// Strip removes credentials from a URL that the API gave, so that it can be kept; nil: there are none.
	Strip func(*url.URL) *url.URL
}

// Skip is the position after a page at p that is passed over: the next one, where pages can be addressed; else the pass
// ends.
func Skip(pager Pager, p Position) (Position, Reason) {
	addressed, ok := pager.(Addressable)
	if !ok {
		return p, PassedOver
	}
	next := addressed.Guess(p)
	next.Seen, next.Most, next.Total, next.From, next.Empty = p.Seen, p.Most, p.Total, p.From, p.Empty+1
	next.Asked = p.Asked + p.Most
	return next, GoesOn
}

// field is the value of Wants.Fields[0]; nil: absent.
func (p *Page) field() jsontext.Value {
	if len(p.Fields) == 0 {
		return nil
	}
	return p.Fields[0]
}

// noContent is why a pass ends with an answer without a body.
func (p *Page) noContent() Reason {
	if p.PastEnd {
		return PastEnd
	}
	return NoContent
}

// Reason says why a pass has ended.
type Reason string

// The reasons. GoesOn is none: another page follows.
const (
	GoesOn       Reason = ""
	OnlyPage     Reason = "the resource has one page"
	EmptyPage    Reason = "a page without records"
	ShortPage    Reason = "a page with fewer records than asked for"
	TotalReached Reason = "all records that the API counts were seen"
	NoMore       Reason = "the page says that no other follows"
	NoCursor     Reason = "the page gives no cursor"
	NoLink       Reason = "the page has no link to a next one"
	NoNews       Reason = "nothing has changed since the position that was kept"
	NoContent    Reason = "an answer without content"
	PastEnd      Reason = "the status that means that there is no such page"
	Repeated     Reason = "the last page came again"
	Known        Reason = "what follows is older than what is known"
	Capped       Reason = "the API shows no more records of one query"
	LastFile     Reason = "it is the last file of the job"
	PassedOver   Reason = "the pipeline file passes over the page, and nothing leads further"
)

// stands is what {cursor} and {limit} stand for where pages have numbers.
func stands(at int64, size int) request.Values {
	values := request.Values{pipeline.PlaceCursor: request.Integer(at)}
	if size > 0 {
		values[pipeline.PlaceLimit] = request.Integer(int64(size))
	}
	return values
}

// led is what {cursor} stands for where one page leads to the next.
func led(p Position) request.Values {
	cursor := request.Text(p.Cursor)
	if p.JSON {
		cursor = request.JSON(jsontext.Value(p.Cursor))
	}
	return request.Values{pipeline.PlaceCursor: cursor}
}

// param is a parameter of a query. One without a name is not sent.
type param struct{ name, value string }

// withParams is u with parameters set.
func withParams(u *url.URL, params ...param) *url.URL {
	c := *u
	q, set := c.Query(), false
	for _, p := range params {
		if p.name != "" {
			q.Set(p.name, p.value)
			set = true
		}
	}
	if set {
		c.RawQuery = q.Encode()
	}
	return &c
}
