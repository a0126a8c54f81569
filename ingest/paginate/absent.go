package paginate

import (
	"strings"

	"github.com/millrace-io/millrace/ingest/evidence"
)

// absence is a page that lacks what leads to the next one: the cursor's field, or the Link header.
type absence struct {
	lacks    string // as a predicate of "the answer"
	declared bool   // the pipeline file says that the API leaves it out on the last page
	reason   Reason
	hint     string
}

// absent decides what an absence means. After the first page of a pass it is an end: it was there on the pages before.
// On the first page it may as well be a mistake in the pipeline file. Then it ends the pass only if nothing says that
// there is more; and if the stream has never had it, page.Doubt says so.
func absent(p Position, page *Page, a absence) (Reason, error) {
	body := evidence.Read(page.Rest)
	n := int64(page.Records)
	found := body.More()
	first := p.Index == 0
	if first && !a.declared && !body.NoMore() {
		found = append(found, body.Beyond(n)...)
		if full := evidence.Full(page.Asked, n); full != "" && !page.Shown && !body.Total(n) {
			found = append(found, full)
		}
	}
	if len(found) > 0 {
		return GoesOn, &MoreError{Lacks: a.lacks, Found: found, Names: body.Names(), Hint: a.hint}
	}
	if first && n > 0 && !a.declared && !page.Shown && !body.NoMore() && !body.Total(n) {
		page.Doubt = "each pass ends after its first page: the answer " + a.lacks +
			", and none had it so far; its fields are: " + body.Names() + "; " + a.hint
	}
	return a.reason, nil
}

// linkHeader is the value of all Link headers of a page.
func linkHeader(page *Page) string { return strings.Join(page.Header.Values("Link"), ", ") }
