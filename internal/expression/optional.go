package expression

import (
	"fmt"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
)

// Expected lists the paths of [Program.Fields] that a record is expected to have: all that the expression names, but
// for those that it asks about with has, gives another value with ??, or compares with null.
func (p *Program) Expected() [][]string {
	optional := map[string]bool{}
	if tree, err := parser.ParseWithConfig(p.source, &conf.Config{MaxNodes: 2000, DisableIfOperator: true}); err == nil && p.path < 0 {
		ast.Walk(&tree.Node, &optionals{&compiler{scope: NewScope()}, optional})
	}
	var expected [][]string
	for _, path := range p.Fields() {
		if len(path) > 0 && !optional[fmt.Sprintf("%q", path)] {
			expected = append(expected, path)
		}
	}
	return expected
}

// optionals notes the paths that an expression allows for the absence of.
type optionals struct {
	c     *compiler
	paths map[string]bool
}

// Visit implements [ast.Visitor].
func (o *optionals) Visit(n *ast.Node) {
	switch n := (*n).(type) {
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok && callee.Value == "has" && len(n.Arguments) == 1 {
			o.note(n.Arguments[0])
		}
	case *ast.BinaryNode:
		_, left := n.Left.(*ast.NilNode)
		_, right := n.Right.(*ast.NilNode)
		null := (n.Operator == "==" || n.Operator == "!=") && (left || right || isNull(n.Left) || isNull(n.Right))
		if n.Operator == "??" || null {
			o.note(n.Left)
		}
		if null {
			o.note(n.Right)
		}
	case *ast.ChainNode:
		o.note(n.Node)
	}
}

func (o *optionals) note(n ast.Node) {
	if path, ok := o.c.pathOf(n); ok {
		o.paths[fmt.Sprintf("%q", path)] = true
	}
}

func isNull(n ast.Node) bool {
	name, ok := n.(*ast.IdentifierNode)
	return ok && name.Value == "null"
}
