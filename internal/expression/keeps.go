package expression

import (
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
)

// keeping are the functions of one value that give two results for two values, if they are spelled as numbers and
// times are spelled once: 007 and 7 are one number.
var keeping = map[string]bool{
	"string": true, "int": true, "decimal": true, "toJSON": true, "datetime": true, "from_unix": true, "from_unix_ms": true,
}

// Keeps returns the path whose values the expression tells apart: no two of them give the same result, as far as that
// is known. ok is false for all expressions of which it is not.
func (p *Program) Keeps() (path []string, ok bool) {
	if path, ok := p.Path(); ok {
		return path, len(path) > 0
	}
	tree, err := parser.ParseWithConfig(p.source, &conf.Config{MaxNodes: 2000, DisableIfOperator: true})
	if err != nil {
		return nil, false
	}
	c := &compiler{scope: NewScope()}
	return c.keeps(tree.Node)
}

func (c *compiler) keeps(n ast.Node) (path []string, ok bool) {
	if path, ok := c.pathOf(n); ok {
		return path, len(path) > 0
	}
	switch n := n.(type) {
	case *ast.BuiltinNode:
		return c.keepsCall(n.Name, n.Arguments)
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			return c.keepsCall(callee.Value, n.Arguments)
		}
	case *ast.BinaryNode: // "order-" + id, id + 1
		switch {
		case n.Operator != "+" && n.Operator != "-":
		case isLiteral(n.Right):
			return c.keeps(n.Left)
		case isLiteral(n.Left):
			return c.keeps(n.Right)
		}
	}
	return nil, false
}

func (c *compiler) keepsCall(name string, args []ast.Node) (path []string, ok bool) {
	if !keeping[name] || len(args) == 0 || len(args) == 2 && !isLiteral(args[1]) {
		return nil, false
	}
	return c.keeps(args[0])
}

func isLiteral(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode:
		return true
	}
	return false
}
