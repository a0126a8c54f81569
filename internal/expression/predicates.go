package expression

import (
	"github.com/expr-lang/expr/ast"
)

// predicate is a function over the elements of an array with an expression about each. see is called for every element
// with what the expression gave and returns whether that is enough.
type predicate struct {
	test  bool // the expression must give a boolean
	gives kindSet
	start func() fold
}

type fold interface {
	see(element, result Value) (enough bool)
	result() Value
}

var predicates = map[string]predicate{
	"all":    {true, booleans, func() fold { return &quantifier{stop: false, answer: true} }},
	"any":    {true, booleans, func() fold { return &quantifier{stop: true, answer: false} }},
	"none":   {true, booleans, func() fold { return &quantifier{stop: true, answer: true} }},
	"count":  {true, numbers, func() fold { return new(counter) }},
	"find":   {true, anything, func() fold { return new(finder) }},
	"filter": {true, arrays, func() fold { return new(keeper) }},
	"map":    {false, arrays, func() fold { return new(mapper) }},
}

// quantifier stops with the opposite answer at the first result that equals stop.
type quantifier struct{ stop, answer bool }

func (q *quantifier) see(_, result Value) bool {
	if (result.coef != 0) != q.stop {
		return false
	}
	q.answer = !q.answer
	return true
}
func (q *quantifier) result() Value { return boolean(q.answer) }

type counter struct{ n int64 }

func (c *counter) see(_, result Value) bool { c.n += result.coef; return false }
func (c *counter) result() Value            { return integer(c.n) }

type finder struct{ found Value }

func (f *finder) see(element, result Value) bool {
	if result.coef != 0 {
		f.found = element
	}
	return result.coef != 0
}
func (f *finder) result() Value { return f.found }

type keeper struct{ kept []Value }

func (k *keeper) see(element, result Value) bool {
	if result.coef != 0 {
		k.kept = append(k.kept, element)
	}
	return false
}
func (k *keeper) result() Value { return list(k.kept) }

type mapper struct{ values []Value }

func (m *mapper) see(_, result Value) bool { m.values = append(m.values, result); return false }
func (m *mapper) result() Value            { return list(m.values) }

func (c *compiler) predicate(n ast.Node, name string, p predicate, args []ast.Node) (node, error) {
	if len(args) != 2 {
		return node{}, c.fail(n, name+"(items, .price > 0)", "%s takes an array and an expression about its elements", name)
	}
	x, err := c.operand(args[0], name+"()", arrays)
	if err != nil {
		return node{}, err
	}
	about := args[1]
	if wrapped, ok := about.(*ast.PredicateNode); ok {
		about = wrapped.Node
	}
	depth, called := c.depth, name+"()"
	c.depth++
	body, err := c.compile(about)
	c.depth--
	if err != nil {
		return node{}, err
	}
	if p.test && body.kinds&booleans == 0 {
		return node{}, c.fail(about, "", "%s() needs a condition; %s is %s", name, body.text, body.kinds)
	}
	return node{kinds: p.gives, slot: -1, eval: func(f *Frame) (Value, error) {
		v, err := x.value(f, called, arrays)
		if err != nil {
			return v, err
		}
		values := elements(v)
		state := p.start()
		for i, element := range values {
			f.each = append(f.each[:depth], item{element, i})
			r, err := body.eval(f)
			if err != nil {
				return r, err
			}
			if p.test && r.kind != Bool {
				return r, unfit(r, body, called, booleans)
			}
			if state.see(element, r) {
				break
			}
		}
		return state.result(), nil
	}}, nil
}
