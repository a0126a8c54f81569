package steps

import (
	"github.com/millrace-io/millrace/pipeline"
)

// kinds are all the kinds of steps. Each compiles a step that is of its kind, and returns nil for any other.
var kinds = []func(b *builder, s *pipeline.Step) step{
	compileTransform,
	compileFilter,
	compileMap,
}

// step is a compiled step. It is read-only; what changes is in the runner.
type step interface {
	// apply works on the record that is at the step's level in r. It calls r.run(next), the step after it, for each
	// record that comes out: not at all, once, or many times. An error is a *[RefusedError] and says why the record
	// can never be processed.
	apply(r *Runner, next int) error
}

// Outcome is what the steps make of a record.
type Outcome struct {
	// Rows are the rows that the record has, none, one or many: a JSON object of columns each.
	Rows [][]byte
	// Never says, of a record without rows, that no revision of it ever had one: nothing has to be removed.
	Never bool
}

// RefusedError is a record refused by a step.
type RefusedError struct {
	Step string // a path in the pipeline file, such as process[1].map.total
	Err  error
}

func (e *RefusedError) Error() string { return e.Step + ": " + e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }
