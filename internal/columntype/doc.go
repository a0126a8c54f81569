// Package columntype is the one table of MySQL's column types: how each is written, what it holds, how wide it is and
// whether it can be a key. The loader of pipeline files, the processor and the sink all ask it, so that a type which
// one of them knows is known to the others.
//
// docs/reference/columns.md describes the same types for users; a test holds the two together.
package columntype
