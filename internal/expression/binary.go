package expression

import (
	"bytes"
	"fmt"

	"github.com/expr-lang/expr/ast"
)

// operator is one that evaluates both its operands, the left one first. It has exactly one of its last fields.
type operator struct {
	takes kindSet // of either operand
	gives kindSet // 0: what both operands can be
	alike bool    // the operands must be of one type
	// never tells operands that can never be combined, before there is a record. Its hint is what to write instead.
	never func(operator string, x, y node) (message, hint string)

	equal   bool
	differ  bool
	compute func(a, b Value) (Value, error)    // of two numbers, decoded; two strings are joined
	order   func(order int) bool               // of how they compare
	text    func(text, other []byte) (is bool) // of two strings
}

// strict is the operators that evaluate both their operands.
var strict = map[string]*operator{
	"+": {takes: numbers | texts, alike: true, never: unlikely("string(x) makes a string of a number"), compute: add},
	"-": {takes: numbers, gives: numbers, compute: subtract},
	"*": {takes: numbers, gives: numbers, compute: multiply},
	"/": {takes: numbers, gives: numbers, compute: divide},
	"%": {takes: numbers, gives: numbers, compute: remainder},

	"<":  ordering(func(order int) bool { return order < 0 }),
	"<=": ordering(func(order int) bool { return order <= 0 }),
	">":  ordering(func(order int) bool { return order > 0 }),
	">=": ordering(func(order int) bool { return order >= 0 }),

	"==": {takes: anything, gives: booleans, never: neverEqual, equal: true},
	"!=": {takes: anything, gives: booleans, never: neverEqual, differ: true},

	"contains":   {takes: texts, gives: booleans, text: bytes.Contains},
	"startsWith": {takes: texts, gives: booleans, text: bytes.HasPrefix},
	"endsWith":   {takes: texts, gives: booleans, text: bytes.HasSuffix},
}

func ordering(accept func(order int) bool) *operator {
	return &operator{
		takes: numbers | texts, gives: booleans, alike: true, never: unlikely("decimal(x) makes a number of a string"), order: accept,
	}
}

func (c *compiler) strict(n *ast.BinaryNode, op *operator) (node, error) {
	x, y, err := c.operands(n, op.takes)
	if err != nil {
		return node{}, err
	}
	if op.never != nil {
		if message, hint := op.never(n.Operator, x, y); message != "" {
			return node{}, c.fail(n, hint, "%s", message)
		}
	}
	gives := op.gives
	if gives == 0 {
		gives = x.kinds & y.kinds & op.takes
	}
	// All operators share this function, and what differs is not behind another call: a call costs as much as an
	// addition.
	left, right := x.eval, y.eval
	return node{kinds: gives, slot: -1, eval: func(f *Frame) (Value, error) {
		a, err := left(f)
		if err != nil {
			return a, err
		}
		b, err := right(f)
		switch {
		case err != nil:
			return b, err
		case !op.takes.has(a.kind):
			return a, unfit(a, x, n.Operator, op.takes)
		case !op.takes.has(b.kind):
			return b, unfit(b, y, n.Operator, op.takes)
		case op.alike && a.kind != b.kind:
			return b, unlike(a, b, x, y, n.Operator)
		}
		switch {
		case op.equal || op.differ:
			is, err := f.equal(a, b)
			return boolean(is == op.equal), err
		case op.order != nil:
			order, err := f.compare(a, b)
			return boolean(op.order(order)), err
		case op.text != nil:
			return boolean(op.text(f.str(a), f.str(b))), nil
		case a.kind == String:
			return f.concat(a, b), nil
		}
		if a, err = a.decoded(); err == nil {
			b, err = b.decoded()
		}
		if err != nil {
			return a, err
		}
		return op.compute(a, b)
	}}, nil
}

// unlikely tells a number and a string.
func unlikely(hint string) func(operator string, x, y node) (message, advice string) {
	return func(operator string, x, y node) (message, advice string) {
		if x.kinds&y.kinds&(numbers|texts) != 0 {
			return "", ""
		}
		return fmt.Sprintf("%s takes two numbers or two strings; %s is %s, %s is %s", operator, x.text, x.kinds, y.text, y.kinds), hint
	}
}

func neverEqual(_ string, x, y node) (message, hint string) {
	if x.kinds&y.kinds != 0 || (x.kinds|y.kinds)&absent != 0 {
		return "", ""
	}
	return fmt.Sprintf("%s is %s and %s is %s: they are never equal", x.text, x.kinds, y.text, y.kinds), ""
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
