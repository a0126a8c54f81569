package paginate

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/evidence"
	"github.com/millrace-io/millrace/pipeline"
)

// FieldError says that a page lacks what tells whether another one follows.
type FieldError struct {
	Path  string
	Is    string // the value there, shortened, or "nothing"
	Want  string
	Names string // fields that the body has; empty: not asked for
}

func (e *FieldError) Error() string {
	s := fmt.Sprintf("the answer has %s at %s, where paginate expects %s", e.Is, e.Path, e.Want)
	if e.Names != "" {
		s += "; its fields are: " + e.Names
	}
	return s
}

// newFieldError is about a field of a page, of which v is the value.
func newFieldError(path []string, v jsontext.Value, page *Page, want string) error {
	e := &FieldError{Path: pipeline.FormatPath(path), Is: "nothing", Want: want}
	if v != nil {
		e.Is = evidence.Short(v, 60)
	} else {
		e.Names = evidence.Read(page.Rest).Names()
	}
	return e
}

// MoreError says that a page does not lead to another one, although it says that there is one.
type MoreError struct {
	Lacks string   // what would lead there
	Found []string // what says that there is more
	Names string   // fields that the body has
	Hint  string
}

func (e *MoreError) Error() string {
	s := fmt.Sprintf("the answer %s, and yet there seems to be more: %s; its fields are: %s",
		e.Lacks, strings.Join(e.Found, ", "), e.Names)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

func newMoreError(path []string, page *Page, found []string) error {
	return &MoreError{
		Lacks: "leads no further at " + pipeline.FormatPath(path), Found: found, Names: evidence.Read(page.Rest).Names(),
	}
}

// EarlyEndError says that an API has no more records before as many came as it counts.
type EarlyEndError struct {
	Total int64
	Of    string // records or pages
	Seen  int64
}

func (e *EarlyEndError) Error() string {
	return fmt.Sprintf("the page has no records, and only %d of %d %s came before it, as the API counts them: "+
		"the others are missing", e.Seen, e.Total, e.Of)
}

// EndlessError says that so many pages in a row had no records that this may never end.
type EndlessError struct{ Pages int64 }

func (e *EndlessError) Error() string {
	return fmt.Sprintf("%d pages in a row have no records, and yet another one follows each of them: "+
		"if that is how this API is, raise ingest.empty_pages", e.Pages)
}
