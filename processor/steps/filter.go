package steps

import (
	"fmt"

	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
)

// filter lets records through for which its expression is true. The names stay as they are.
type filter struct {
	level   int
	program *expression.Program
	once    bool
	label   string
}

func compileFilter(b *builder, s *pipeline.Step) step {
	if s.Filter == nil {
		return nil
	}
	f := &filter{level: b.level(), once: s.Filter.Once, label: b.label("filter")}
	p, err := b.levels[f.level].scope.Compile(s.Filter.If)
	if err == nil {
		err = p.Condition()
	}
	f.program = b.use(f.label)(p, err)
	return f
}

func (f *filter) apply(r *Runner, next int) error {
	v, err := f.program.Eval(r.frames[f.level])
	if err != nil {
		return &RefusedError{f.label, err}
	}
	keep, ok := v.True()
	switch {
	case !ok:
		return &RefusedError{f.label, fmt.Errorf("%s gave %s; a filter needs true or false", f.program, v.Kind())}
	case !keep:
		r.drop(f.once)
		return nil
	}
	return r.run(next)
}
