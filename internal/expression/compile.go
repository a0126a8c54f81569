package expression

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// evalFunc evaluates a node. Its error says what is wrong with which operand; Eval adds the expression.
type evalFunc func(f *Frame) (Value, error)

// node is a compiled node.
type node struct {
	eval     evalFunc
	kinds    kindSet // what it can be, as far as is known before there is a record
	slot     int     // of a path; else -1
	constant *Value  // of a literal; else nil
	text     string  // as a person would write it, for messages
	ast      ast.Node
}

func (n node) path() (slot int, ok bool) { return n.slot, n.slot >= 0 }

// kindSet is a set of kinds.
type kindSet uint8

const (
	absent    kindSet = 1<<Missing | 1<<Null
	booleans  kindSet = 1 << Bool
	numbers   kindSet = 1 << Number
	texts     kindSet = 1 << String
	arrays    kindSet = 1 << Array
	objects   kindSet = 1 << Object
	anything  kindSet = 1<<(Object+1) - 1
	something         = anything &^ absent
)

func (s kindSet) has(k Kind) bool { return s>>k&1 == 1 }

// String names the kinds of s, without those of absence.
func (s kindSet) String() string {
	var names []string
	for k := Bool; k <= Object; k++ {
		if s.has(k) {
			names = append(names, k.String())
		}
	}
	return strings.Join(names, " or ")
}

type compiler struct {
	source []rune
	scope  *Scope
	fields []int
	lets   []string // names that let has bound, outermost first
	depth  int      // of predicates around the node
}

func (c *compiler) fail(at ast.Node, hint, format string, args ...any) error {
	e := &Error{Line: 1, Column: 1, Message: fmt.Sprintf(format, args...), Hint: hint}
	for _, r := range c.source[:min(at.Location().From, len(c.source))] {
		e.Column++
		if r == '\n' {
			e.Line, e.Column = e.Line+1, 1
		}
	}
	return e
}

func (c *compiler) compile(n ast.Node) (node, error) {
	out, err := c.dispatch(n)
	if err != nil {
		return node{}, err
	}
	out.ast = n
	if out.text == "" {
		out.text = n.String()
	}
	return out, nil
}

func (c *compiler) dispatch(n ast.Node) (node, error) {
	if path, ok := c.pathOf(n); ok {
		return c.field(path), nil
	}
	switch n := n.(type) {
	case *ast.NilNode:
		return literal(Value{kind: Null}), nil
	case *ast.BoolNode:
		return literal(boolean(n.Value)), nil
	case *ast.IntegerNode:
		return literal(integer(int64(n.Value))), nil
	case *ast.FloatNode:
		return c.decimal(n)
	case *ast.StringNode:
		return literal(Text([]byte(n.Value))), nil
	case *ast.IdentifierNode:
		return c.identifier(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.ChainNode:
		return c.compile(n.Node)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			return c.call(n, callee.Value, n.Arguments)
		}
		return node{}, c.fail(n, "functions are called by name: lower(name)", "methods cannot be called")
	case *ast.BuiltinNode:
		return c.call(n, n.Name, n.Arguments)
	case *ast.PointerNode:
		return c.pointer(n)
	case *ast.VariableDeclaratorNode:
		return c.let(n)
	case *ast.ArrayNode:
		return c.array(n)
	case *ast.MapNode:
		return c.object(n)
	}
	return node{}, c.fail(n, "", "%s is not part of this language", n)
}

func literal(v Value) node {
	return node{eval: func(*Frame) (Value, error) { return v, nil }, kinds: 1 << v.kind, slot: -1, constant: &v}
}

// decimal takes the digits as they are written: the parser's float64 has lost some of a long one.
func (c *compiler) decimal(n *ast.FloatNode) (node, error) {
	at := n.Location()
	digits := strings.ReplaceAll(string(c.source[at.From:at.To]), "_", "")
	v, err := longNumber([]byte(digits))
	if err != nil {
		return node{}, c.fail(n, "", "%s: %v", digits, err)
	}
	out := literal(v)
	out.text = digits
	return out, nil
}

// pathOf returns the path of a node that is only that: a.b, a["odd name"], $env["odd name"].
func (c *compiler) pathOf(n ast.Node) ([]string, bool) {
	switch n := n.(type) {
	case *ast.ChainNode:
		return c.pathOf(n.Node)
	case *ast.IdentifierNode:
		switch {
		case n.Value == "$env":
			return nil, true
		case n.Value == "null" || slices.Contains(c.lets, n.Value):
			return nil, false
		}
		return []string{n.Value}, true
	case *ast.MemberNode:
		name, ok := n.Property.(*ast.StringNode)
		if !ok || n.Method {
			return nil, false
		}
		path, ok := c.pathOf(n.Node)
		return append(path, name.Value), ok
	}
	return nil, false
}

func (c *compiler) field(path []string) node {
	slot := c.scope.Slot(path)
	if !slices.Contains(c.fields, slot) {
		c.fields = append(c.fields, slot)
	}
	text := strings.Join(path, ".")
	if len(path) == 0 {
		text = "$env"
	}
	return node{eval: func(f *Frame) (Value, error) { return f.Slots[slot], nil }, kinds: anything, slot: slot, text: text}
}

// identifier is a name that is no field: null, or what let has bound.
func (c *compiler) identifier(n *ast.IdentifierNode) (node, error) {
	if n.Value == "null" {
		return literal(Value{kind: Null}), nil
	}
	i := len(c.lets) - 1
	for c.lets[i] != n.Value {
		i--
	}
	return node{eval: func(f *Frame) (Value, error) { return f.vars[i], nil }, kinds: anything, slot: -1}, nil
}

func (c *compiler) let(n *ast.VariableDeclaratorNode) (node, error) {
	value, err := c.compile(n.Value)
	if err != nil {
		return node{}, err
	}
	c.lets = append(c.lets, n.Name)
	body, err := c.compile(n.Expr)
	c.lets = c.lets[:len(c.lets)-1]
	if err != nil {
		return node{}, err
	}
	depth := len(c.lets)
	return node{kinds: body.kinds, slot: -1, eval: func(f *Frame) (Value, error) {
		v, err := value.eval(f)
		if err != nil {
			return v, err
		}
		f.vars = append(f.vars[:depth], v)
		return body.eval(f)
	}}, nil
}

func (c *compiler) conditional(n *ast.ConditionalNode) (node, error) {
	cond, err := c.operand(n.Cond, "?:", booleans)
	if err != nil {
		return node{}, err
	}
	yes, err := c.compile(n.Exp1)
	if err != nil {
		return node{}, err
	}
	no, err := c.compile(n.Exp2)
	if err != nil {
		return node{}, err
	}
	return node{kinds: yes.kinds | no.kinds, slot: -1, eval: func(f *Frame) (Value, error) {
		v, err := cond.value(f, "?:", booleans)
		if err != nil {
			return v, err
		}
		if v.coef != 0 {
			return yes.eval(f)
		}
		return no.eval(f)
	}}, nil
}

// operand compiles a node that an operation takes, and refuses what can never be of the kinds it takes.
func (c *compiler) operand(n ast.Node, operation string, want kindSet) (node, error) {
	out, err := c.compile(n)
	if err != nil {
		return node{}, err
	}
	if out.kinds&want == 0 {
		is := out.kinds.String()
		if is == "" {
			is = "null"
		}
		return node{}, c.fail(n, "", "%s takes %s; %s is %s", operation, want, out.text, is)
	}
	return out, nil
}

// unfit says why an operation does not take a value.
func unfit(v Value, n node, operation string, want kindSet) error {
	if v.Absent() {
		return fmt.Errorf("%s is %s; %s takes %s", n.text, v.kind, operation, want)
	}
	return fmt.Errorf("%s is of type %s; %s takes %s", n.text, v.kind, operation, want)
}

// unlike says why an operation does not take two values together.
func unlike(a, b Value, x, y node, operation string) error {
	return fmt.Errorf("%s is of type %s and %s of type %s; %s takes two numbers or two strings", x.text, a.kind, y.text, b.kind, operation)
}
