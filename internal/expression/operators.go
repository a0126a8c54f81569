package expression

import (
	"bytes"
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
			v, err := x.eval(f)
			if err == nil && v.kind != Bool {
				err = unfit(v, x, n.Operator, booleans)
			}
			return boolean(v.coef == 0), err
		}}, nil
	}
	x, err := c.operand(n.Node, n.Operator, numbers)
	if err != nil {
		return node{}, err
	}
	return node{kinds: numbers, slot: -1, eval: func(f *Frame) (Value, error) {
		v, err := number(f, x, n.Operator)
		if err == nil && n.Operator == "-" {
			v, err = negate(v)
		}
		return v, err
	}}, nil
}

func (c *compiler) binary(n *ast.BinaryNode) (node, error) {
	switch n.Operator {
	case "+":
		return c.plus(n)
	case "-":
		return c.arithmetic(n, subtract)
	case "*":
		return c.arithmetic(n, multiply)
	case "/":
		return c.arithmetic(n, divide)
	case "%":
		return c.arithmetic(n, remainder)
	case "==":
		return c.equality(n, true)
	case "!=":
		return c.equality(n, false)
	case "<":
		return c.ordering(n, func(order int) bool { return order < 0 })
	case "<=":
		return c.ordering(n, func(order int) bool { return order <= 0 })
	case ">":
		return c.ordering(n, func(order int) bool { return order > 0 })
	case ">=":
		return c.ordering(n, func(order int) bool { return order >= 0 })
	case "and", "&&":
		return c.logic(n, false)
	case "or", "||":
		return c.logic(n, true)
	case "??":
		return c.coalesce(n)
	case "in":
		return c.in(n)
	case "contains":
		return c.textual(n, bytes.Contains)
	case "startsWith":
		return c.textual(n, bytes.HasPrefix)
	case "endsWith":
		return c.textual(n, bytes.HasSuffix)
	case "matches":
		return c.matches(n)
	}
	return node{}, c.fail(n, "", "the operator %s is not part of this language", n.Operator)
}

// number evaluates an operand that must be a number, and decodes it.
func number(f *Frame, x node, operation string) (Value, error) {
	v, err := x.eval(f)
	if err != nil {
		return v, err
	}
	if v.kind != Number {
		return v, unfit(v, x, operation, numbers)
	}
	return v.decoded()
}

func (c *compiler) operands(n *ast.BinaryNode, want kindSet) (x, y node, err error) {
	if x, err = c.operand(n.Left, n.Operator, want); err == nil {
		y, err = c.operand(n.Right, n.Operator, want)
	}
	return x, y, err
}

func (c *compiler) arithmetic(n *ast.BinaryNode, op func(a, b Value) (Value, error)) (node, error) {
	x, y, err := c.operands(n, numbers)
	if err != nil {
		return node{}, err
	}
	return node{kinds: numbers, slot: -1, eval: func(f *Frame) (Value, error) {
		a, err := number(f, x, n.Operator)
		if err != nil {
			return a, err
		}
		b, err := number(f, y, n.Operator)
		if err != nil {
			return b, err
		}
		return op(a, b)
	}}, nil
}

// plus adds numbers and joins strings; it never makes one of the other.
func (c *compiler) plus(n *ast.BinaryNode) (node, error) {
	const want = numbers | texts
	x, y, err := c.operands(n, want)
	if err != nil {
		return node{}, err
	}
	if x.kinds&y.kinds&want == 0 {
		return node{}, c.fail(n, "string(x) makes a string of a number", "+ takes two numbers or two strings; %s is %s, %s is %s", x.text, x.kinds, y.text, y.kinds)
	}
	return node{kinds: x.kinds & y.kinds & want, slot: -1, eval: func(f *Frame) (Value, error) {
		a, err := x.eval(f)
		if err != nil {
			return a, err
		}
		b, err := y.eval(f)
		if err != nil {
			return b, err
		}
		switch {
		case a.kind == String && b.kind == String:
			return f.concat(a, b), nil
		case a.kind == Number && b.kind == Number:
			if a, err = a.decoded(); err != nil {
				return a, err
			}
			if b, err = b.decoded(); err != nil {
				return b, err
			}
			return add(a, b)
		case !want.has(a.kind):
			return a, unfit(a, x, "+", want)
		case !want.has(b.kind):
			return b, unfit(b, y, "+", want)
		}
		return a, unlike(a, b, x, y, "+")
	}}, nil
}

// concat joins two strings. A left one that ends where the frame's texts end is extended, not copied: so
// a + b + c copies each text once. Values are never written to, only what lies behind them.
func (f *Frame) concat(a, b Value) Value {
	left, right := f.str(a), f.str(b)
	end := len(f.text)
	if n := len(left); n > 0 && n <= end && &left[0] == &f.text[end-n] {
		f.text = append(f.text, right...)
		return Text(f.text[end-n : len(f.text) : len(f.text)])
	}
	f.text = append(append(f.text, left...), right...)
	return Text(f.text[end:len(f.text):len(f.text)])
}

func (c *compiler) equality(n *ast.BinaryNode, want bool) (node, error) {
	x, err := c.compile(n.Left)
	if err != nil {
		return node{}, err
	}
	y, err := c.compile(n.Right)
	if err != nil {
		return node{}, err
	}
	if x.kinds&y.kinds == 0 && (x.kinds|y.kinds)&absent == 0 {
		return node{}, c.fail(n, "", "%s is %s and %s is %s: they are never equal", x.text, x.kinds, y.text, y.kinds)
	}
	return node{kinds: booleans, slot: -1, eval: func(f *Frame) (Value, error) {
		a, err := x.eval(f)
		if err != nil {
			return a, err
		}
		b, err := y.eval(f)
		if err != nil {
			return b, err
		}
		is, err := f.equal(a, b)
		return boolean(is == want), err
	}}, nil
}

// equal compares numbers by value, strings by their text, arrays and objects by their content. Missing
// equals null; values of different types are not equal.
func (f *Frame) equal(a, b Value) (bool, error) {
	if a.Absent() || b.Absent() {
		return a.Absent() && b.Absent(), nil
	}
	if a.kind != b.kind {
		return false, nil
	}
	switch a.kind { //nolint:exhaustive // what is absent is done; objects follow
	case Bool:
		return a.coef == b.coef, nil
	case Number:
		return f.equalNumbers(a, b)
	case String:
		return bytes.Equal(f.str(a), f.str(b)), nil
	case Array:
		return f.equalArrays(a, b)
	}
	return f.equalObjects(a, b)
}

func (f *Frame) equalNumbers(a, b Value) (bool, error) {
	if a.raw && b.raw && bytes.Equal(a.text, b.text) {
		return true, nil
	}
	a, err := a.decoded()
	if err != nil {
		return false, err
	}
	b, err = b.decoded()
	return err == nil && compareNumbers(a, b) == 0, err
}

func (c *compiler) ordering(n *ast.BinaryNode, accept func(order int) bool) (node, error) {
	const want = numbers | texts
	x, y, err := c.operands(n, want)
	if err != nil {
		return node{}, err
	}
	if x.kinds&y.kinds&want == 0 {
		return node{}, c.fail(n, "decimal(x) makes a number of a string", "%s takes two numbers or two strings; %s is %s, %s is %s", n.Operator, x.text, x.kinds, y.text, y.kinds)
	}
	return node{kinds: booleans, slot: -1, eval: func(f *Frame) (Value, error) {
		a, err := x.eval(f)
		if err != nil {
			return a, err
		}
		b, err := y.eval(f)
		if err != nil {
			return b, err
		}
		switch {
		case !want.has(a.kind):
			return a, unfit(a, x, n.Operator, want)
		case !want.has(b.kind):
			return b, unfit(b, y, n.Operator, want)
		case a.kind != b.kind:
			return b, unlike(a, b, x, y, n.Operator)
		}
		order, err := f.compare(a, b)
		return boolean(accept(order)), err
	}}, nil
}

// compare orders two numbers or two strings, these by their bytes.
func (f *Frame) compare(a, b Value) (int, error) {
	if a.kind == String {
		return bytes.Compare(f.str(a), f.str(b)), nil
	}
	a, err := a.decoded()
	if err != nil {
		return 0, err
	}
	if b, err = b.decoded(); err != nil {
		return 0, err
	}
	return compareNumbers(a, b), nil
}

// logic is and, or: the right operand is evaluated only if the left one does not decide.
func (c *compiler) logic(n *ast.BinaryNode, decisive bool) (node, error) {
	x, y, err := c.operands(n, booleans)
	if err != nil {
		return node{}, err
	}
	return node{kinds: booleans, slot: -1, eval: func(f *Frame) (Value, error) {
		a, err := x.eval(f)
		if err != nil {
			return a, err
		}
		if a.kind != Bool {
			return a, unfit(a, x, n.Operator, booleans)
		}
		if (a.coef != 0) == decisive {
			return a, nil
		}
		b, err := y.eval(f)
		if err == nil && b.kind != Bool {
			err = unfit(b, y, n.Operator, booleans)
		}
		return b, err
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

func (c *compiler) textual(n *ast.BinaryNode, test func(s, part []byte) bool) (node, error) {
	x, y, err := c.operands(n, texts)
	if err != nil {
		return node{}, err
	}
	return node{kinds: booleans, slot: -1, eval: func(f *Frame) (Value, error) {
		a, err := x.eval(f)
		if err != nil {
			return a, err
		}
		b, err := y.eval(f)
		switch {
		case err != nil:
			return b, err
		case a.kind != String:
			return a, unfit(a, x, n.Operator, texts)
		case b.kind != String:
			return b, unfit(b, y, n.Operator, texts)
		}
		return boolean(test(f.str(a), f.str(b))), nil
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
		a, err := x.eval(f)
		if err == nil && a.kind != String {
			err = unfit(a, x, n.Operator, texts)
		}
		if err != nil {
			return a, err
		}
		return boolean(pattern.Match(f.str(a))), nil
	}}, nil
}
