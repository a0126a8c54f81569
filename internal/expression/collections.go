package expression

import (
	"bytes"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// in is membership of an array, or of an object's names.
func (c *compiler) in(n *ast.BinaryNode) (node, error) {
	x, err := c.compile(n.Left)
	if err != nil {
		return node{}, err
	}
	const want = arrays | objects
	y, err := c.operand(n.Right, "in", want)
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
		case b.kind == Object && a.kind == String:
			return boolean(member(b, f.str(a)).kind != Missing), nil
		case b.kind != Array:
			return b, unfit(b, y, "in", want)
		}
		for _, v := range elements(b) {
			if is, err := f.equal(a, v); is || err != nil {
				return boolean(is), err
			}
		}
		return boolean(false), nil
	}}, nil
}

// member is x[i] of an array, x.name or x["name"] of an object that is not simply a path.
func (c *compiler) member(n *ast.MemberNode) (node, error) {
	x, err := c.operand(n.Node, "[]", arrays|objects)
	if err != nil {
		return node{}, err
	}
	i, err := c.operand(n.Property, "[]", numbers|texts)
	if err != nil {
		return node{}, err
	}
	return node{kinds: anything, slot: -1, eval: func(f *Frame) (Value, error) {
		v, err := x.eval(f)
		if err != nil {
			return v, err
		}
		key, err := i.eval(f)
		switch {
		case err != nil:
			return key, err
		case v.Absent():
			return Value{}, nil
		case key.kind == String:
			return member(v, f.str(key)), nil
		case key.kind != Number:
			return key, unfit(key, i, "[]", numbers|texts)
		case v.kind != Array:
			return Value{}, nil
		}
		at, err := index(key)
		if err != nil {
			return key, err
		}
		return element(v, at), nil
	}}, nil
}

// slice is x[from:to] of a string, in characters, or of an array. Bounds are cut to what there is; negative ones count
// from the end.
func (c *compiler) slice(n *ast.SliceNode) (node, error) {
	const want = texts | arrays
	x, err := c.operand(n.Node, "[:]", want)
	if err != nil {
		return node{}, err
	}
	var bounds [2]*node
	for i, b := range []ast.Node{n.From, n.To} {
		if b == nil {
			continue
		}
		bound, err := c.operand(b, "[:]", numbers)
		if err != nil {
			return node{}, err
		}
		bounds[i] = &bound
	}
	return node{kinds: x.kinds & want, slot: -1, eval: func(f *Frame) (Value, error) {
		v, err := x.value(f, "[:]", want)
		if err != nil {
			return v, err
		}
		if v.kind == Array {
			values := elements(v)
			from, to, err := sliceBounds(f, bounds, len(values))
			return list(values[from:to]), err
		}
		s := f.str(v)
		from, to, err := sliceBounds(f, bounds, utf8.RuneCount(s))
		start := skipRunes(s, from)
		return Text(s[start : start+skipRunes(s[start:], to-from)]), err
	}}, nil
}

func sliceBounds(f *Frame, bounds [2]*node, length int) (from, to int, err error) {
	at := [2]int{0, length}
	for i, b := range bounds {
		if b == nil {
			continue
		}
		v, err := b.number(f, "[:]")
		if err != nil {
			return 0, 0, err
		}
		n, err := index(v)
		if err != nil {
			return 0, 0, err
		}
		if n < 0 {
			n += length
		}
		at[i] = min(max(n, 0), length)
	}
	return at[0], max(at[0], at[1]), nil
}

// skipRunes is how many bytes the first n characters of s take.
func skipRunes(s []byte, n int) (at int) {
	for ; n > 0; n-- {
		_, size := utf8.DecodeRune(s[at:])
		at += size
	}
	return at
}

// array is [a, b, …].
func (c *compiler) array(n *ast.ArrayNode) (node, error) {
	items := make([]node, len(n.Nodes))
	constants := make([]Value, 0, len(items))
	for i, e := range n.Nodes {
		var err error
		if items[i], err = c.compile(e); err != nil {
			return node{}, err
		}
		if items[i].constant != nil {
			constants = append(constants, *items[i].constant)
		}
	}
	if len(constants) == len(items) {
		return literal(list(constants)), nil
	}
	return node{kinds: arrays, slot: -1, eval: func(f *Frame) (Value, error) {
		values := make([]Value, len(items))
		for i := range items {
			v, err := items[i].eval(f)
			if err != nil {
				return v, err
			}
			values[i] = v
		}
		return list(values), nil
	}}, nil
}

// object is {name: x, …}. It is written as JSON at once.
func (c *compiler) object(n *ast.MapNode) (node, error) {
	var names [][]byte
	var items []node
	for _, p := range n.Pairs {
		pair, ok := p.(*ast.PairNode)
		if !ok {
			return node{}, c.fail(p, "", "an object is {name: value, …}")
		}
		key, ok := pair.Key.(*ast.StringNode)
		if !ok {
			return node{}, c.fail(pair.Key, "", "names of an object must be constant")
		}
		name := appendQuoted(nil, []byte(key.Value))
		for _, other := range names {
			if bytes.Equal(name, other) {
				return node{}, c.fail(pair.Key, "", "the name %s is there twice", name)
			}
		}
		value, err := c.compile(pair.Value)
		if err != nil {
			return node{}, err
		}
		names, items = append(names, name), append(items, value)
	}
	return node{kinds: objects, slot: -1, eval: func(f *Frame) (Value, error) {
		text := []byte{'{'}
		for i := range items {
			v, err := items[i].eval(f)
			if err != nil {
				return v, err
			}
			if i > 0 {
				text = append(text, ',')
			}
			text = append(append(text, names[i]...), ':')
			text = v.AppendJSON(text)
		}
		return JSON(append(text, '}')), nil
	}}, nil
}

// pointer is # (the element), #index, or the start of .name in a predicate.
func (c *compiler) pointer(n *ast.PointerNode) (node, error) {
	depth := c.depth - 1
	switch n.Name {
	case "":
		return node{kinds: anything, slot: -1, eval: func(f *Frame) (Value, error) { return f.each[depth].value, nil }}, nil
	case "index":
		return node{kinds: numbers, slot: -1, eval: func(f *Frame) (Value, error) { return integer(int64(f.each[depth].index)), nil }}, nil
	}
	return node{}, c.fail(n, "# is the element, #index its position", "#%s is not part of this language", n.Name)
}

func (f *Frame) equalArrays(a, b Value) (bool, error) {
	x, y := elements(a), elements(b)
	if len(x) != len(y) {
		return false, nil
	}
	for i := range x {
		if is, err := f.equal(x[i], y[i]); !is || err != nil {
			return false, err
		}
	}
	return true, nil
}

// equalObjects compares objects whatever the order of their names.
func (f *Frame) equalObjects(a, b Value) (is bool, err error) {
	names := 0
	is = true
	fields(a.text, func(name, value []byte) bool {
		names++
		other := member(b, name)
		is = other.kind != Missing
		if is {
			is, err = f.equal(JSON(value), other)
		}
		return is && err == nil
	})
	fields(b.text, func(_, _ []byte) bool { names--; return true })
	return is && names == 0, err
}
