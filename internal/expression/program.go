package expression

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// MaxSourceBytes bounds an expression.
const MaxSourceBytes = 16 << 10

// Program is a compiled expression. It may be used concurrently.
type Program struct {
	source string
	scope  *Scope
	fields []int // slots of the scope, in order of appearance
	path   int   // the slot, if the expression is nothing but a path; else -1
	kinds  kindSet
	eval   evalFunc
}

// Compile compiles an expression over the fields of a record, in a scope of its own. The error is an *[Error].
func Compile(source string) (*Program, error) { return NewScope().Compile(source) }

// Compile compiles an expression over s. The error is an *[Error].
func (s *Scope) Compile(source string) (*Program, error) {
	if len(source) > MaxSourceBytes {
		return nil, &Error{Line: 1, Column: 1, Message: fmt.Sprintf("expression of %d bytes; at most %d are allowed", len(source), MaxSourceBytes)}
	}
	if strings.TrimSpace(source) == "" {
		return nil, &Error{Line: 1, Column: 1, Message: "empty expression", Hint: `a null is written null, an empty text ""`}
	}
	tree, err := parser.ParseWithConfig(source, &conf.Config{MaxNodes: 2000, DisableIfOperator: true})
	if err != nil {
		return nil, syntaxError(source, err)
	}
	c := &compiler{source: []rune(source), scope: s}
	n, err := c.compile(tree.Node)
	if err != nil {
		return nil, err
	}
	p := &Program{source: source, scope: s, fields: c.fields, path: -1, kinds: n.kinds, eval: n.eval}
	if slot, ok := n.path(); ok {
		p.path = slot
	}
	return p, nil
}

// Condition reports, as an *[Error], that the result can be neither true nor false, whatever the record.
func (p *Program) Condition() error {
	if p.kinds.has(Bool) {
		return nil
	}
	what := p.kinds.String()
	if what == "" {
		what = Null.String()
	}
	return &Error{Line: 1, Column: 1, Message: fmt.Sprintf("%s gives %s; a condition is true or false, as a comparison is: name == \"value\"", p.source, what)}
}

// String is the source.
func (p *Program) String() string { return p.source }

// Fields lists the dotted paths that the expression names, each once, in order of appearance. The empty path
// is the whole record ($env).
func (p *Program) Fields() [][]string {
	paths := make([][]string, len(p.fields))
	for i, slot := range p.fields {
		paths[i] = append([]string{}, p.scope.paths[slot]...)
	}
	return paths
}

// Slots lists the slots of the scope that the expression names.
func (p *Program) Slots() []int { return p.fields }

// CompilePath returns the program that is nothing but a path, whatever characters its names have.
func (s *Scope) CompilePath(path []string) (*Program, error) {
	if len(path) == 0 {
		return nil, errors.New("an empty path")
	}
	slot := s.Slot(path)
	return &Program{source: strings.Join(path, "."), scope: s, fields: []int{slot}, path: slot, kinds: anything}, nil
}

// WholeRecord reports whether the expression names the whole record ($env).
func (p *Program) WholeRecord() bool {
	for _, slot := range p.fields {
		if len(p.scope.paths[slot]) == 0 {
			return true
		}
	}
	return false
}

// Path returns the path if the expression is nothing but a path, whose value is copied as it is.
func (p *Program) Path() (path []string, ok bool) {
	if p.path < 0 {
		return nil, false
	}
	return append([]string{}, p.scope.paths[p.path]...), true
}

// Error is what is wrong with an expression.
type Error struct {
	Line    int // from 1
	Column  int // from 1, in characters
	Message string
	Hint    string // what to write instead; may be empty
}

// Error is the message with its position and hint.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 1 {
		fmt.Fprintf(&b, "line %d, ", e.Line)
	}
	fmt.Fprintf(&b, "column %d: %s", e.Column, e.Message)
	if e.Hint != "" {
		fmt.Fprintf(&b, " (%s)", e.Hint)
	}
	return b.String()
}

// syntaxError translates the parser's error. Its Column counts from 0.
func syntaxError(source string, err error) *Error {
	var at *file.Error
	if !errors.As(err, &at) {
		return &Error{Line: 1, Column: 1, Message: err.Error()}
	}
	e := &Error{Line: at.Line, Column: at.Column + 1, Message: strings.ToLower(at.Message[:1]) + at.Message[1:]}
	switch {
	case strings.Contains(at.Message, `Operator("=")`):
		e.Hint = "equality is written =="
	case strings.Contains(source, "<>"):
		e.Hint = "inequality is written !="
	case strings.Contains(at.Message, "not terminated"):
		e.Hint = "a text ends with the quote that it begins with"
	case strings.Contains(at.Message, "EOF"):
		e.Hint = "the expression ends too early"
	case strings.Contains(at.Message, "out of range"), strings.Contains(at.Message, "too large"):
		e.Hint = `write a large number as decimal("…")`
	case strings.Contains(at.Message, "cannot be mixed"):
		e.Hint = "write (a ?? b) in parentheses"
	case strings.Contains(at.Message, "unrecognized character"):
		e.Hint = `texts are written "…" or '…'; a field with an odd name is $env["…"]`
	}
	return e
}
