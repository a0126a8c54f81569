package ingest

import (
	"github.com/millrace-io/millrace/pipeline"
)

// Some APIs list what was deleted in a resource of its own. Its slices are fetched beside those of the stream, each
// with a cursor of its own, and write tombstones to the same raw topic. Which of a record and its deletion came last
// the versions decide, as with any two revisions: so it does not matter which of them was fetched first.

// deletionsPrefix begins the names of slices of a resource that lists what was deleted.
const deletionsPrefix = "deleted:"

// deletionsOf is the resource that lists what was deleted from a stream, as a stream of the same topics; nil: there is
// none.
func deletionsOf(s *pipeline.Stream) *pipeline.Stream {
	if s.Ingest.DeletedIn == nil {
		return nil
	}
	of := *s
	of.Ingest = *s.Ingest.DeletedIn
	return &of
}
