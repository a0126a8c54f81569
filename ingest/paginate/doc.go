// Package paginate knows how the pages of an API follow one another. It makes no requests: it turns a [Position] into
// the URL of its page, and what a page said into the position after it.
//
// Each kind of pagination is a [Pager] in a file of its own, and has one line in [New].
//
// A position is all that is needed to ask for a page again, and is what ingest keeps in its cursor.
package paginate
