package processor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
)

// Outcome is what steps make of a record.
type Outcome uint8

// The outcomes.
const (
	Row     Outcome = iota // the record has a row
	NoRow                  // it has none: a row that an earlier revision made is removed
	Nothing                // it has none, and neither had any earlier revision: nothing is sent
)

// Step is what a stream's steps together are, seen from outside: value in, columns out. Steps of the file are
// compiled to one ([Chain.Runner]).
type Step interface {
	// Apply appends to dst the columns, a JSON object, that it makes of the value of a record, a JSON object.
	// Only with the outcome Row does out hold more than dst. It must depend on nothing but
	// value, so that redelivery and replay give the same, and must not keep dst or value. An error
	// says why this record can never be processed; it goes to the dead-letter topic. It is not
	// called concurrently.
	Apply(dst, value []byte) (out []byte, outcome Outcome, err error)
}

// Chain is the compiled steps of a stream. It is read-only and may be used concurrently; the work is done by
// its runners, one for each goroutine.
type Chain struct {
	segments []segment
	columns  []output // of the last stage, in order
	key      []int    // columns that are the key columns of the table, in their order
	keyPath  [][]string
	names    []string // of the key columns
	// numericKey: all key columns hold numbers
	numericKey bool
}

// segment is filters over one scope and the map that makes the next scope of it.
type segment struct {
	scope   *expression.Scope
	filters []filter
	columns []output
	needed  []int // columns that the key columns of the table are made of
	wants   []want
}

type filter struct {
	program *expression.Program
	once    bool
	path    string // in the pipeline file, for dead letters
}

// output is a column that a map makes.
type output struct {
	name    string
	program *expression.Program
	path    string // in the pipeline file, for dead letters
	prefix  []byte // `{"name":` of the first, `,"name":` of the others
}

// want says where a stage's slot comes from: a path into a column of the stage before. column is -1 for the
// whole record.
type want struct {
	column int
	path   []string
}

// StepError is a record refused by a step.
type StepError struct {
	Step string // a path in the pipeline file, such as process[1].map.total
	Err  error
}

func (e *StepError) Error() string { return e.Step + ": " + e.Err.Error() }
func (e *StepError) Unwrap() error { return e.Err }

// CompileSteps compiles the steps of a stream. Without a map, the columns of the table are the record's own
// fields of the same name.
func CompileSteps(s *pipeline.Stream) (*Chain, error) {
	c := &Chain{}
	at := segment{scope: expression.NewScope()}
	for i, step := range s.Process {
		switch {
		case step.Filter != nil:
			path := fmt.Sprintf("process[%d].filter", i)
			p, err := at.scope.Compile(step.Filter.If)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			at.filters = append(at.filters, filter{p, step.Filter.Once, path})
		case step.Map != nil:
			for _, column := range step.Map {
				path := fmt.Sprintf("process[%d].map.%s", i, column.Name)
				p, err := at.scope.Compile(column.Expr)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", path, err)
				}
				at.columns = append(at.columns, newOutput(column.Name, p, path, len(at.columns)))
			}
			c.segments = append(c.segments, at)
			at = segment{scope: expression.NewScope()}
		}
	}
	return c, c.finish(s, at)
}

func newOutput(name string, p *expression.Program, path string, i int) output {
	prefix := expression.AppendQuoted([]byte{"{,"[min(i, 1)]}, name)
	return output{name, p, path, append(prefix, ':')}
}

// finish adds what follows the last map: filters over its columns, or everything if there was no map.
func (c *Chain) finish(s *pipeline.Stream, last segment) error {
	if len(c.segments) == 0 {
		for i, column := range s.Sink.Columns {
			p, err := last.scope.CompilePath([]string{column.Name})
			if err != nil {
				return err
			}
			last.columns = append(last.columns, newOutput(column.Name, p, "sink.columns."+column.Name, i))
		}
		c.segments = append(c.segments, last)
	} else if len(last.filters) > 0 {
		// The columns pass through the filters as they are.
		for i, column := range c.segments[len(c.segments)-1].columns {
			p, err := last.scope.CompilePath([]string{column.name})
			if err != nil {
				return err
			}
			last.columns = append(last.columns, newOutput(column.name, p, column.path, i))
		}
		c.segments = append(c.segments, last)
	}
	for i := 1; i < len(c.segments); i++ {
		if err := c.segments[i].connect(c.segments[i-1].columns); err != nil {
			return err
		}
	}
	c.columns = c.segments[len(c.segments)-1].columns
	for _, path := range s.Ingest.Key {
		c.keyPath = append(c.keyPath, splitPath(path))
	}
	return c.findKey(s.Sink.KeyColumns())
}

// connect finds where the slots of s come from.
func (s *segment) connect(columns []output) error {
	for _, path := range s.scope.Paths() {
		if len(path) == 0 {
			s.wants = append(s.wants, want{column: -1})
			continue
		}
		w := want{column: -1, path: path[1:]}
		for i, c := range columns {
			if c.name == path[0] {
				w.column = i
			}
		}
		if w.column < 0 {
			return fmt.Errorf("%s: the map step before it makes no column %s", s.usedBy(path), path[0])
		}
		s.wants = append(s.wants, w)
	}
	return nil
}

// usedBy is the place of the first program that names a path.
func (s *segment) usedBy(path []string) string {
	names := func(p *expression.Program) bool {
		for _, field := range p.Fields() {
			if fmt.Sprint(field) == fmt.Sprint(path) {
				return true
			}
		}
		return false
	}
	for _, f := range s.filters {
		if names(f.program) {
			return f.path
		}
	}
	for _, c := range s.columns {
		if names(c.program) {
			return c.path
		}
	}
	return "process"
}

// findKey finds the key columns and, back to the record, what they are made of.
func (c *Chain) findKey(key []pipeline.ColumnType) error {
	for _, k := range key {
		found := false
		for i, column := range c.columns {
			if column.name == k.Name {
				c.key, c.names, found = append(c.key, i), append(c.names, k.Name), true
			}
		}
		if !found {
			return fmt.Errorf("process: no map step makes the key column %s", k.Name)
		}
	}
	c.numericKey = !slices.ContainsFunc(key, func(k pipeline.ColumnType) bool { return !numeric(k.Type) })
	needed := c.key
	for i := len(c.segments) - 1; i >= 0; i-- {
		s := &c.segments[i]
		s.needed = needed
		if i == 0 {
			break
		}
		seen := map[int]bool{}
		needed = nil
		for _, n := range s.needed {
			for _, slot := range s.columns[n].program.Slots() {
				if from := s.wants[slot].column; from >= 0 && !seen[from] {
					seen[from], needed = true, append(needed, from)
				}
			}
		}
	}
	return nil
}

// numeric reports whether a column of that type holds numbers.
func numeric(columnType string) bool {
	word, _, _ := strings.Cut(columnType, "(")
	word, _, _ = strings.Cut(word, " ")
	switch word {
	case "tinyint", "smallint", "mediumint", "int", "integer", "bigint", "decimal", "numeric", "dec", "fixed", "float", "double", "real",
		"bit", "bool", "boolean", "year":
		return true
	}
	return false
}
