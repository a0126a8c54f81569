package expression

import (
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
)

// Word is a name that stands where texts mostly do.
type Word struct {
	Name         string
	Line, Column int // from 1, in characters
}

// Words lists the names that an expression compares a field with: b of a == b, a != b, and a in [b]. They are fields,
// and may have been meant as texts without their quotes. Of what is no expression there are none.
func Words(source string) []Word {
	tree, err := parser.ParseWithConfig(source, &conf.Config{MaxNodes: 2000, DisableIfOperator: true})
	if err != nil {
		return nil
	}
	v := &words{c: compiler{source: []rune(source), scope: NewScope()}}
	ast.Walk(&tree.Node, v)
	return slices.DeleteFunc(v.found, func(w Word) bool { return w.Name == "null" || slices.Contains(v.bound, w.Name) })
}

type words struct {
	c     compiler
	bound []string // by let
	found []Word
}

// Visit is that of [ast.Visitor].
func (w *words) Visit(n *ast.Node) {
	if let, ok := (*n).(*ast.VariableDeclaratorNode); ok {
		w.bound = append(w.bound, let.Name)
	}
	b, ok := (*n).(*ast.BinaryNode)
	if !ok || !slices.Contains([]string{"==", "!=", "in", "not in"}, b.Operator) {
		return
	}
	if _, field := w.c.pathOf(b.Left); !field {
		return
	}
	if list, ok := b.Right.(*ast.ArrayNode); ok {
		for _, e := range list.Nodes {
			w.word(e)
		}
		return
	}
	if b.Operator == "==" || b.Operator == "!=" {
		w.word(b.Right)
	}
}

func (w *words) word(n ast.Node) {
	id, ok := n.(*ast.IdentifierNode)
	if !ok {
		return
	}
	at := Word{Name: id.Value, Line: 1, Column: 1}
	for _, r := range w.c.source[:min(n.Location().From, len(w.c.source))] {
		at.Column++
		if r == '\n' {
			at.Line, at.Column = at.Line+1, 1
		}
	}
	w.found = append(w.found, at)
}
