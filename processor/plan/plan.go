package plan

import (
	"fmt"
	"slices"
)

// Use is one expression of a step, as far as names go.
type Use struct {
	Label  string     // its place in the pipeline file, such as process[1].map.total
	Fields [][]string // paths that it names, each once; an empty path is everything there is
	Keeps  []string   // the path whose values it tells apart; nil: none is known
}

// Step is one step, as far as names go.
type Step struct {
	Uses  []Use
	Makes []string // the columns that come out, column i by expression i; nil: what goes in comes out
}

// Place is an expression: use Use of step Step.
type Place struct{ Step, Use int }

// Origin is a field of the record that a column comes from.
type Origin struct {
	Path []string // empty: the whole record
	At   Place    // the expression that names it
}

// Level is the names that there are between two steps that make columns. The zero Level is the record's.
type Level struct {
	Names   []string   // columns, in order
	Sources [][]Origin // of each column; a field that several expressions name is there several times
	Keeps   [][]string // of each column, the field of the record whose values it tells apart; nil: none is known
	uses    [][]int    // by column: the columns of the level before that it is made of
}

// Plan is the way of names through a stream's steps. It is read-only.
type Plan struct {
	Levels []Level // [0] is the record; each step that makes columns adds one
}

// Error is what is wrong with an expression.
type Error struct {
	At    Place
	Label string // the place in the pipeline file
	Err   error  // an *[UnknownError], or of the expression
}

func (p *Error) Error() string { return p.Label + ": " + p.Err.Error() }
func (p *Error) Unwrap() error { return p.Err }

// UnknownError is a name that is not there.
type UnknownError struct {
	Name  string
	Known []string // the names that are there, in order
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the map step before it makes no column %s", e.Name)
}

// New follows the names through steps. The problems are of type *[UnknownError], in the order of the steps; the plan
// is sound without problems only.
func New(steps []Step) (*Plan, []*Error) {
	p := &Plan{Levels: make([]Level, 1)}
	var problems []*Error
	for i, step := range steps {
		level := len(p.Levels) - 1
		next := Level{Names: step.Makes}
		for j, use := range step.Uses {
			from, columns, unknown := p.follow(level, Place{i, j}, use.Fields)
			for _, err := range unknown {
				problems = append(problems, &Error{At: Place{i, j}, Label: use.Label, Err: err})
			}
			next.Sources, next.uses = append(next.Sources, from), append(next.uses, columns)
			next.Keeps = append(next.Keeps, p.keeps(level, use.Keeps))
		}
		if step.Makes != nil {
			p.Levels = append(p.Levels, next)
		}
	}
	return p, problems
}

// follow returns where the fields of an expression over a level come from.
func (p *Plan) follow(level int, at Place, fields [][]string) (from []Origin, columns []int, unknown []*UnknownError) {
	for _, path := range fields {
		if level == 0 {
			from = append(from, Origin{path, at})
			continue
		}
		found, ok := p.Levels[level].columns(path)
		if !ok {
			unknown = append(unknown, &UnknownError{path[0], p.Levels[level].Names})
		}
		for _, c := range found {
			from = append(from, p.Levels[level].Sources[c]...)
			columns = append(columns, c)
		}
	}
	return from, columns, unknown
}

// keeps is the field of the record whose values an expression tells apart that tells apart those of path over a level.
func (p *Plan) keeps(level int, path []string) []string {
	if level == 0 || len(path) == 0 {
		return path
	}
	if c := p.Levels[level].Column(path[0]); c >= 0 && len(path) == 1 {
		return p.Levels[level].Keeps[c]
	}
	return nil
}

// Column returns the index of a column; -1: there is none of that name.
func (l *Level) Column(name string) int {
	return slices.Index(l.Names, name)
}

// columns are those that a path needs: the one that it begins with, or all.
func (l *Level) columns(path []string) (columns []int, ok bool) {
	if len(path) == 0 {
		for i := range l.Names {
			columns = append(columns, i)
		}
		return columns, true
	}
	if c := l.Column(path[0]); c >= 0 {
		return []int{c}, true
	}
	return nil, false
}

// Last is the level that the table takes its columns from.
func (p *Plan) Last() *Level { return &p.Levels[len(p.Levels)-1] }

// Needed returns, by level, the columns that have to be computed for some columns of the last level, which are listed
// first as they are given. That of level 0, the record, is empty.
func (p *Plan) Needed(columns []int) [][]int {
	needed := make([][]int, len(p.Levels))
	for i := len(p.Levels) - 1; i > 0; i-- {
		needed[i] = columns
		var before []int
		for _, c := range columns {
			for _, from := range p.Levels[i].uses[c] {
				if !slices.Contains(before, from) {
					before = append(before, from)
				}
			}
		}
		columns = before
	}
	return needed
}
