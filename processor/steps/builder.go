package steps

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor/plan"
)

// builder compiles the steps of a stream, and notes for the plan which names each step uses and makes.
type builder struct {
	step     int // the index of the step in the pipeline file
	steps    []step
	levels   []level
	names    []plan.Step // by step
	problems []*plan.Error
	expects  []expected
}

// level is what the steps between two changes of names share. The last of them makes the columns.
type level struct {
	scope   *expression.Scope
	columns []column
	needed  []int  // columns that the key columns of the table are made of
	wants   []want // by slot of the scope; of the record's own level: none
}

// want says where a slot comes from: a path into a column of the level before. column is -1 for all of it.
type want struct {
	column int
	path   []string
}

// Plan compiles the steps of a stream and returns the way of names through them, to the columns of the table, with
// everything that is wrong, in the order of the file. The plan is sound where there are no problems.
func Plan(s *pipeline.Stream) (*plan.Plan, []*plan.Error) {
	_, p, problems := build(s)
	return p, problems
}

// build compiles a stream's steps. Without a step that makes columns, the columns of the table are the record's own
// fields of the same name.
func build(s *pipeline.Stream) (*builder, *plan.Plan, []*plan.Error) {
	b := &builder{levels: []level{{scope: expression.NewScope()}}}
	for i := range s.Process {
		b.step = i
		b.names = append(b.names, plan.Step{})
		for _, compile := range kinds {
			if made := compile(b, &s.Process[i]); made != nil {
				b.steps = append(b.steps, made)
				break
			}
		}
	}
	b.finish(s)
	p, unknown := plan.New(b.names)
	problems := slices.Concat(b.problems, unknown)
	slices.SortStableFunc(problems, func(x, y *plan.Error) int {
		return cmp.Or(x.At.Step-y.At.Step, x.At.Use-y.At.Use)
	})
	return b, p, problems
}

// finish passes the columns of the table on where the last step did not make them.
func (b *builder) finish(s *pipeline.Stream) {
	if n := len(b.names); n > 0 && b.names[n-1].Makes != nil {
		b.levels = b.levels[:len(b.levels)-1]
		return
	}
	var names, labels []string
	if level := b.level(); level == 0 {
		for _, c := range s.Sink.Columns {
			names, labels = append(names, c.Name), append(labels, "sink.columns."+c.Name)
		}
	} else {
		for _, c := range b.levels[level-1].columns {
			names, labels = append(names, c.name), append(labels, c.label)
		}
	}
	b.names = append(b.names, plan.Step{})
	b.steps = append(b.steps, compilePass(b, names, labels))
	b.levels = b.levels[:len(b.levels)-1]
}

// level is the index of the one that the step being compiled works on.
func (b *builder) level() int { return len(b.levels) - 1 }

// label is the place of a key of the step in the pipeline file.
func (b *builder) label(key string) string { return fmt.Sprintf("process[%d].%s", b.step, key) }

// expression compiles one expression of the step. It returns nil if that is a problem.
func (b *builder) expression(label, source string) *expression.Program {
	return b.use(label)(b.levels[b.level()].scope.Compile(source))
}

// field is the expression that is nothing but a name.
func (b *builder) field(label, name string) *expression.Program {
	return b.use(label)(b.levels[b.level()].scope.CompilePath([]string{name}))
}

// use notes an expression of the step.
func (b *builder) use(label string) func(*expression.Program, error) *expression.Program {
	names := &b.names[len(b.names)-1]
	at := plan.Place{Step: len(b.names) - 1, Use: len(names.Uses)}
	return func(p *expression.Program, err error) *expression.Program {
		use := plan.Use{Label: label}
		if err != nil {
			b.problems = append(b.problems, &plan.Error{At: at, Label: label, Err: err})
		} else {
			use.Fields = p.Fields()
			use.Keeps, _ = p.Keeps()
			b.expect(label, p)
		}
		names.Uses = append(names.Uses, use)
		return p
	}
}

// makes ends the level: the step makes these columns, column i by its expression i, and the next sees only them.
func (b *builder) makes(columns []column) {
	names := make([]string, len(columns))
	for i := range columns {
		names[i] = columns[i].name
	}
	b.names[len(b.names)-1].Makes = names
	b.levels[b.level()].columns = columns
	b.levels = append(b.levels, level{scope: expression.NewScope()})
}

// connect finds where the slots of each level come from.
func (b *builder) connect(p *plan.Plan) {
	for i := 1; i < len(b.levels); i++ {
		l := &b.levels[i]
		for _, path := range l.scope.Paths() {
			w := want{column: -1}
			if len(path) > 0 {
				w = want{p.Levels[i].Column(path[0]), path[1:]}
			}
			l.wants = append(l.wants, w)
		}
	}
}

// joined are the problems as one error.
func joined(problems []*plan.Error) error {
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}
