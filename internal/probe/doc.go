// Package probe asks an API a few times and finds out how it answers: where the records are, what tells them apart, how
// the pages follow one another, which field says when a record was changed, and what a table of the records looks like.
//
// It never trusts a name alone where an answer can show more: a guess at the next page is right if other records come,
// and a guess at a parameter if it leaves out what it should. What no answer shows is marked as a guess.
//
//	probe     the questions, in order
//	answer    one answer
//	records   where the records are
//	pages     how to get the second page
//	size, end how many records a page has, and how the last page is known
//	since     the parameter that asks for what has changed
//	write     the pipeline file
package probe
