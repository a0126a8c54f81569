package expression

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/expr-lang/expr/ast"
)

// function is a function by name. Its arguments have been checked against takes, whose last entry holds
// for all further ones too.
type function struct {
	least, most int // arguments
	takes       []kindSet
	gives       kindSet
	call        func(f *Frame, args []Value) (Value, error)
}

// functions is the whole table, but for has, which is about a path and not about its value, and for those that
// take a predicate.
var functions = map[string]function{
	"lower":      {1, 1, []kindSet{texts}, texts, lower},
	"upper":      {1, 1, []kindSet{texts}, texts, upper},
	"trim":       {1, 2, []kindSet{texts}, texts, trim},
	"trimPrefix": {2, 2, []kindSet{texts}, texts, trimPrefix},
	"trimSuffix": {2, 2, []kindSet{texts}, texts, trimSuffix},
	"replace":    {3, 3, []kindSet{texts}, texts, replace},
	"split":      {2, 2, []kindSet{texts}, arrays, split},
	"join":       {1, 2, []kindSet{arrays, texts}, texts, join},
	"len":        {1, 1, []kindSet{texts | arrays | objects}, numbers, length},
	"string":     {1, 1, []kindSet{something}, texts, toString},
	"type":       {1, 1, []kindSet{anything}, texts, typeOf},

	"int":     {1, 1, []kindSet{numbers | texts | booleans}, numbers, toInt},
	"decimal": {1, 1, []kindSet{numbers | texts}, numbers, toDecimal},
	"float":   {1, 1, []kindSet{numbers | texts}, numbers, toFloat},
	"bool":    {1, 1, []kindSet{numbers | texts | booleans}, booleans, toBool},
	"abs":     {1, 1, []kindSet{numbers}, numbers, abs},
	"floor":   {1, 1, []kindSet{numbers}, numbers, floor},
	"ceil":    {1, 1, []kindSet{numbers}, numbers, ceil},
	"round":   {1, 2, []kindSet{numbers}, numbers, round},
	"min":     {1, 100, []kindSet{numbers | arrays}, numbers, least},
	"max":     {1, 100, []kindSet{numbers | arrays}, numbers, greatest},
	"sum":     {1, 1, []kindSet{arrays}, numbers, sum},

	"first":    {1, 1, []kindSet{arrays}, anything, first},
	"last":     {1, 1, []kindSet{arrays}, anything, last},
	"toJSON":   {1, 1, []kindSet{anything}, texts, toJSON},
	"fromJSON": {1, 1, []kindSet{texts}, anything, fromJSON},

	"datetime":     {1, 2, []kindSet{texts}, texts, datetime},
	"date":         {1, 2, []kindSet{texts}, texts, date},
	"from_unix":    {1, 1, []kindSet{numbers}, texts, fromUnix},
	"from_unix_ms": {1, 1, []kindSet{numbers}, texts, fromUnixMilli},
	"unix":         {1, 1, []kindSet{texts}, numbers, toUnix},
	"unix_ms":      {1, 1, []kindSet{texts}, numbers, toUnixMilli},
}

// Functions lists the names of all functions, sorted.
func Functions() []string {
	names := slices.AppendSeq([]string{"has"}, maps.Keys(functions))
	names = slices.AppendSeq(names, maps.Keys(predicates))
	slices.Sort(names)
	return names
}

func (c *compiler) call(n ast.Node, name string, args []ast.Node) (node, error) {
	if name == "has" {
		return c.has(n, args)
	}
	if p, ok := predicates[name]; ok {
		return c.predicate(n, name, p, args)
	}
	fn, ok := functions[name]
	if !ok {
		return node{}, c.fail(n, nearest(name), "there is no function %s", name)
	}
	if len(args) < fn.least || len(args) > fn.most {
		return node{}, c.fail(n, "", "%s takes %s, not %d", name, arguments(fn.least, fn.most), len(args))
	}
	takes := func(i int) kindSet { return fn.takes[min(i, len(fn.takes)-1)] }
	nodes := make([]node, len(args))
	for i, arg := range args {
		var err error
		if nodes[i], err = c.operand(arg, name+"()", takes(i)); err != nil {
			return node{}, err
		}
	}
	return node{kinds: fn.gives, slot: -1, eval: func(f *Frame) (Value, error) {
		start := len(f.args)
		for i := range nodes {
			v, err := nodes[i].eval(f)
			if err != nil {
				return v, err
			}
			if !takes(i).has(v.kind) {
				return v, unfit(v, nodes[i], name+"()", takes(i))
			}
			f.args = append(f.args, v)
		}
		v, err := fn.call(f, f.args[start:])
		f.args = f.args[:start]
		if err != nil {
			err = fmt.Errorf("%s(): %w", name, err)
		}
		return v, err
	}}, nil
}

// has tells a missing field from one that is null.
func (c *compiler) has(n ast.Node, args []ast.Node) (node, error) {
	if len(args) != 1 {
		return node{}, c.fail(n, "", "has takes 1 argument, not %d", len(args))
	}
	x, err := c.compile(args[0])
	if err != nil {
		return node{}, err
	}
	return node{kinds: booleans, slot: -1, eval: func(f *Frame) (Value, error) {
		v, err := x.eval(f)
		return boolean(v.kind != Missing), err
	}}, nil
}

func arguments(least, most int) string {
	if least != most {
		return fmt.Sprintf("%d to %d arguments", least, most)
	}
	if least == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", least)
}

// elsewhere is what functions of other languages are called here.
var elsewhere = map[string]string{
	"coalesce": "a ?? b", "ifnull": "a ?? b", "nvl": "a ?? b", "concat": "a + b", "substr": "s[from:to]", "substring": "s[from:to]",
	"if": "condition ? a : b", "number": "decimal(x)", "json": "toJSON(x)", "now": "a record's outcome may not depend on when it is processed",
	"strip": "trim(s)", "count_of": "len(x)", "length": "len(x)", "missing": "not has(x)", "exists": "has(x)", "str": "string(x)",
	"datetime_ms": "from_unix_ms(x)", "indexOf": "s contains part, or split(s, part)", "hasPrefix": "s startsWith part", "hasSuffix": "s endsWith part",
}

func nearest(name string) string {
	if hint, ok := elsewhere[name]; ok {
		return "write " + hint
	}
	best, distance := "", 3
	for _, known := range Functions() {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(known)); d < distance {
			best, distance = known, d
		}
	}
	for _, known := range Functions() {
		if best == "" && len(known) > 3 && strings.HasPrefix(strings.ToLower(name), strings.ToLower(known)) {
			best = known // lowercase
		}
	}
	if best == "" {
		return "functions: " + strings.Join(Functions(), " ")
	}
	return "did you mean " + best + "?"
}
