package expression

import (
	"regexp"

	"github.com/expr-lang/expr/ast"
)

func (c *compiler) unary(n *ast.UnaryNode) (node, error) {
	if n.Operator == "not" || n.Operator == "!" {
		x, err := c.operand(n.Node, n.Operator, booleans)
		if err != nil {
			return node{}, err
		}
		return node{kinds: booleans, slot: -1, eval: func(f *Frame) (Value, error) {
			v, err := x.value(f, n.Operator, booleans)
			return boolean(v.coef == 0), err
		}}, nil
	}
	x, err := c.operand(n.Node, n.Operator, numbers)
	if err != nil {
		return node{}, err
	}
	return node{kinds: numbers, slot: -1, eval: func(f *Frame) (Value, error) {
		v, err := x.number(f, n.Operator)
		if err == nil && n.Operator == "-" {
			v, err = negate(v)
		}
		return v, err
	}}, nil
}

// binary compiles an operator with two operands: one of the table strict, or one that does not always evaluate both.
func (c *compiler) binary(n *ast.BinaryNode) (node, error) {
	if op, ok := strict[n.Operator]; ok {
		return c.strict(n, op)
	}
	switch n.Operator {
	case "and", "&&":
		return c.logic(n, false)
	case "or", "||":
		return c.logic(n, true)
	case "??":
		return c.coalesce(n)
	case "in":
		return c.in(n)
	case "matches":
		return c.matches(n)
	}
	return node{}, c.fail(n, "", "the operator %s is not part of this language", n.Operator)
}

// value evaluates an operand, and refuses a value that the operation does not take.
func (n *node) value(f *Frame, operation string, want kindSet) (Value, error) {
	v, err := n.eval(f)
	if err == nil && !want.has(v.kind) {
		err = unfit(v, *n, operation, want)
	}
	return v, err
}

// number evaluates an operand that must be a number, in a form to compute with.
func (n *node) number(f *Frame, operation string) (Value, error) {
	v, err := n.value(f, operation, numbers)
	if err != nil {
		return v, err
	}
	return v.decoded()
}

func (c *compiler) operands(n *ast.BinaryNode, want kindSet) (x, y node, err error) {
	if x, err = c.operand(n.Left, n.Operator, want); err == nil {
		y, err = c.operand(n.Right, n.Operator, want)
	}
	return x, y, err
}

// logic is and, or: the right operand is evaluated only if the left one does not decide.
func (c *compiler) logic(n *ast.BinaryNode, decisive bool) (node, error) {
	x, y, err := c.operands(n, booleans)
	if err != nil {
		return node{}, err
	}
	return node{kinds: booleans, slot: -1, eval: func(f *Frame) (Value, error) {
		a, err := x.value(f, n.Operator, booleans)
		if err != nil || (a.coef != 0) == decisive {
			return a, err
		}
		return y.value(f, n.Operator, booleans)
	}}, nil
}

func (c *compiler) coalesce(n *ast.BinaryNode) (node, error) {
	x, err := c.compile(n.Left)
	if err != nil {
		return node{}, err
	}
	y, err := c.compile(n.Right)
	if err != nil {
		return node{}, err
	}
	return node{kinds: x.kinds&something | y.kinds, slot: -1, eval: func(f *Frame) (Value, error) {
		if v, err := x.eval(f); err != nil || !v.Absent() {
			return v, err
		}
		return y.eval(f)
	}}, nil
}

func (c *compiler) matches(n *ast.BinaryNode) (node, error) {
	x, y, err := c.operands(n, texts)
	if err != nil {
		return node{}, err
	}
	if y.constant == nil {
		return node{}, c.fail(n.Right, `write it as a text: x matches "^a"`, "the pattern of matches is not constant")
	}
	pattern, err := regexp.Compile(string(y.constant.text))
	if err != nil {
		return node{}, c.fail(n.Right, "patterns are RE2: https://github.com/google/re2/wiki/Syntax", "%v", err)
	}
	return node{kinds: booleans, slot: -1, eval: func(f *Frame) (Value, error) {
		a, err := x.value(f, n.Operator, texts)
		if err != nil {
			return a, err
		}
		return boolean(pattern.Match(f.str(a))), nil
	}}, nil
}
