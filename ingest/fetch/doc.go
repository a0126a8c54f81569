// Package fetch makes HTTP requests for pages: authenticated, within a rate limit, tried again when that may help, and
// received whole before anything is done with them.
//
// A [Body] is in memory while the process has memory to spare for it, else in a temporary file, so that the size of
// a page does not decide how much memory ingest needs.
//
// No error, and no URL given out, holds a secret: see [Redactor].
package fetch
