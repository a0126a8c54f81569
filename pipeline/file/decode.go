package file

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"
	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/pipeline"
)

// decoder turns the nodes of one file into the types of keys.go, and collects what is wrong. It never stops at
// a problem: a value that is wrong is left out, and whatever asks for it finds it not ok.
type decoder struct {
	file     string
	lines    []string
	refs     resolver
	secrets  secretsOf
	firstUse map[string]pipeline.Origin // of credentials written for no API in particular, by the key that holds them
	meant    map[string]bool            // what unknown keys of the whole file are, and probably were meant to be
	streams  []string                   // names of all streams of the file
	problems Problems
	warnings Problems
}

// place is where a value stands in the file.
type place struct {
	node *yaml.Node        // the value, aliases followed; nil: the value is absent
	key  *yaml.Node        // its key; nil in a list and at the top
	path string            // streams.orders.ingest
	tag  reflect.StructTag // of the field of keys.go that takes it
}

// at is the node to point to: the key where the value is not there, or only begins, as mappings do.
func (p place) at() *yaml.Node {
	if p.key != nil && (p.node == nil || p.node.Kind != yaml.ScalarNode || p.node.Value == "") {
		return p.key
	}
	return p.node
}

func (p place) child(key, value *yaml.Node, tag reflect.StructTag) place {
	path := key.Value
	if len(path) > 100 {
		path = path[:100] + "…"
	}
	if p.path != "" {
		path = p.path + "." + path
	}
	return place{node: follow(value), key: key, path: path, tag: tag}
}

func (p place) item(i int, value *yaml.Node) place {
	return place{node: follow(value), path: fmt.Sprintf("%s[%d]", p.path, i), tag: p.tag}
}

// follow returns what an alias stands for. The parser refuses aliases of unknown anchors.
func follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// reportf adds a problem at a place.
func (d *decoder) reportf(p place, hint, format string, args ...any) {
	d.reportAt(p.at(), 0, 0, p.path, hint, fmt.Sprintf(format, args...))
}

// reportAt adds a problem at a node, or some lines and columns beyond its start.
func (d *decoder) reportAt(n *yaml.Node, lines, columns int, path, hint, message string) {
	d.problems = append(d.problems, d.problemAt(n, lines, columns, path, hint, message))
}

func (d *decoder) problemAt(n *yaml.Node, lines, columns int, path, hint, message string) Problem {
	pr := Problem{File: d.file, Path: path, Message: message, Hint: hint}
	if n != nil {
		pr.Line, pr.Column = n.Line+lines, n.Column+columns
	}
	return pr
}

// field is a type that a value of the file decodes into.
type field interface {
	decode(d *decoder, p place)
	isSet() bool
	schema(tag reflect.StructTag) *jsonschema.Schema
}

// leaf is what every field has: where it stands, whether it is there, and whether it is right.
type leaf struct {
	place
	set bool
	ok  bool
}

func (l *leaf) isSet() bool { return l.set }

func (l *leaf) begin(p place) { l.place, l.set = p, true }

// value decodes into v, a pointer to a field or to a struct of keys.go.
func (d *decoder) value(v any, p place) {
	if f, ok := v.(field); ok {
		f.decode(d, p)
		return
	}
	d.structure(reflect.ValueOf(v).Elem(), p)
}

// pair is a key of a mapping and its value.
type pair struct{ key, value *yaml.Node }

// pairs returns the entries of a mapping, those that it merges (<<) last, and reports keys that are not text or
// stand there twice. It reports and returns false if the node is no mapping.
func (d *decoder) pairs(p place, want string) (entries []pair, ok bool) {
	if p.node.Kind != yaml.MappingNode {
		d.reportf(p, "", "%s; want %s", kindOf(p.node), want)
		return nil, false
	}
	d.collect(p, p.node, map[*yaml.Node]bool{}, map[string]bool{}, &entries)
	return entries, true
}

func (d *decoder) collect(p place, n *yaml.Node, visited map[*yaml.Node]bool, known map[string]bool, entries *[]pair) {
	visited[n] = true // a mapping merged again, or into itself, adds nothing
	var merged []*yaml.Node
	own := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := follow(n.Content[i]), n.Content[i+1]
		switch first, twice := own[key.Value]; {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!null":
			d.reportAt(n.Content[i], 0, 0, p.path, "", "a key must be text")
		case key.Tag == "!!merge":
			merged = append(merged, d.mergeSources(p, value)...)
		case twice:
			d.reportAt(n.Content[i], 0, 0, p.child(key, value, "").path, "", fmt.Sprintf("the key stands here twice, first in line %d", first.Line))
		default:
			own[key.Value] = n.Content[i]
			if !known[key.Value] {
				known[key.Value] = true
				*entries = append(*entries, pair{key, value})
			}
		}
	}
	for _, m := range merged {
		if !visited[m] {
			d.collect(p, m, visited, known, entries)
		}
	}
}

// mergeSources returns the mappings that << names: one, or a list.
func (d *decoder) mergeSources(p place, value *yaml.Node) []*yaml.Node {
	target := follow(value)
	list := []*yaml.Node{target}
	if target.Kind == yaml.SequenceNode {
		list = target.Content
	}
	var out []*yaml.Node
	for _, n := range list {
		if m := follow(n); m.Kind == yaml.MappingNode {
			out = append(out, m)
		} else {
			d.reportAt(n, 0, 0, p.path, "", "<< merges mappings only, as in <<: *name")
		}
	}
	return out
}

// structure decodes a mapping into a struct of keys.go.
func (d *decoder) structure(v reflect.Value, p place) {
	fields := fieldsOf(v.Type())
	entries, ok := d.pairs(p, "a mapping with the keys "+strings.Join(fields.names, ", "))
	if !ok {
		return
	}
	seen := map[string]bool{}
	meant := map[string]bool{} // what an unknown key was probably meant to be is not missing besides
	unknown := false
	for _, e := range entries {
		f, known := fields.byName[e.key.Value]
		at := p.child(e.key, e.value, f.tag)
		switch {
		case known:
			seen[e.key.Value] = true
			d.value(v.FieldByIndex(f.index).Addr().Interface(), at)
		case p.path == "" && strings.HasPrefix(e.key.Value, "x-"): // a place for anchors
		default:
			near, hint := suggest(e.key.Value, p.path, fields.names)
			for _, key := range near {
				meant[key] = true
			}
			d.note(append(near, e.key.Value)...)
			d.reportAt(e.key, 0, 0, at.path, hint, "unknown key")
			unknown = true
		}
	}
	if unknown && len(seen) == 0 { // what is there was meant for what is missing
		return
	}
	for _, name := range fields.required {
		if !seen[name] && !meant[name] {
			d.reportf(p, "", "%q is missing: %s", name, firstSentence(fields.byName[name].tag.Get("doc")))
		}
	}
	if len(fields.oneOf) > 0 {
		d.exactlyOne(p, fields, seen, meant)
	}
}

// note remembers unknown keys, and what they were probably meant to be.
func (d *decoder) note(names ...string) {
	if d.meant == nil {
		d.meant = map[string]bool{}
	}
	for _, name := range names {
		d.meant[name] = true
	}
}

func (d *decoder) exactlyOne(p place, fields *structFields, seen, meant map[string]bool) {
	names := fields.oneOf
	var have []string
	for _, name := range names {
		if seen[name] {
			have = append(have, name)
		}
	}
	switch {
	case slices.ContainsFunc(names, func(name string) bool { return meant[name] }):
	case len(have) == 0:
		d.reportf(p, about(fields), "one of %s is missing", strings.Join(names, ", "))
	case len(have) > 1 && slices.Contains(names, "filter"):
		d.reportf(p, "each is a step of its own, which begins with \"- \"", "%s stand in one step", strings.Join(have, " and "))
	case len(have) > 1:
		d.reportf(p, "keep one of them", "%s exclude each other", strings.Join(have, " and "))
	}
}

// about says what the keys are of which one must be there, if they are few.
func about(fields *structFields) string {
	if len(fields.oneOf) > 3 {
		return ""
	}
	var out []string
	for _, name := range fields.oneOf {
		sentence := firstSentence(fields.byName[name].tag.Get("doc"))
		out = append(out, name+": "+strings.ToLower(sentence[:1])+sentence[1:])
	}
	return strings.Join(out, "; ")
}

// kindOf says what a node is, for messages.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "this is a mapping"
	case n.Kind == yaml.SequenceNode:
		return "this is a list"
	case n.Tag == "!!null":
		return "this has no value"
	}
	return "this is a single value"
}

func firstSentence(doc string) string {
	s, _, _ := strings.Cut(doc, "; ")
	s, _, _ = strings.Cut(s, ". ")
	return strings.TrimSuffix(s, ".")
}
