// Package mutants builds millrace with one of its mechanisms switched off, to prove that the promise tests notice.
//
// A mutant is a list of edits of source files. The edited copies lie in a temporary directory, and the Go command reads
// them in place of the files through its flag -overlay (Go command documentation, "go help build", -overlay). The files
// themselves stay as they are: production code has no build tag and no branch for a mutant, so that a release binary
// cannot contain one.
//
// Each stage's mutants are in its file: ingest.go, processor.go, sink.go. Those of a redo are in redo.go, and those of
// what holds decisions, processors and tables together in decisions.go, each with the test that is red. A test without
// Docker keeps the edits true: the text that an edit replaces must occur once in its file, and the edited package must
// compile. `make mutants` runs them.
package mutants
