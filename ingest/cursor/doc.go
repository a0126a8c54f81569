// Package cursor is the position of a slice in its API: the page to fetch next, the pass that it belongs to, and since,
// from which on the API is asked for changes. It knows how APIs write times and numbers, and how a position moves.
//
// since is frozen during a pass and moves at its end, to the highest value of the incremental field seen in the pass,
// but not past what may have changed on a page after it was fetched, by the clock of the API.
//
// A cursor is committed in one Kafka transaction with the records up to it. A crash repeats what follows it.
package cursor
