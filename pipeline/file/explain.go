package file

import (
	_ "embed" // the examples
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// Key is what there is to know of a key of the pipeline file.
type Key struct {
	Path     string // as it was asked for: streams.orders.ingest.paginate; empty: the file as a whole
	Doc      string
	Kind     string   // what its value is: "a duration such as 30s", "one of link, or a mapping"
	Required bool     // where what holds it is there
	Default  string   // empty: none
	Bounds   string   // "from 1 to 256"; empty: none
	Keys     []SubKey // that the mapping has
	OneOf    []string // of which exactly one must be there
	Example  string   // YAML, from the top of the file; empty: none
}

// SubKey is a key of a mapping, in short.
type SubKey struct {
	Name     string
	Doc      string // the first sentence
	Required bool
}

// UnknownKeyError says that there is no such key.
type UnknownKeyError struct {
	Path string // up to the name that is not known
	Hint string
}

func (e *UnknownKeyError) Error() string {
	if e.Hint == "" {
		return fmt.Sprintf("the pipeline file has no key %s", e.Path)
	}
	return fmt.Sprintf("the pipeline file has no key %s; %s", e.Path, e.Hint)
}

// container is a field that holds others.
type container interface {
	// holds is the type of what it holds: a struct of keys.go, or a field. named: under names that the user chooses.
	holds() (t reflect.Type, named bool)
}

func (o *object[T]) holds() (reflect.Type, bool)  { return reflect.TypeFor[T](), false }
func (c *choice[T]) holds() (reflect.Type, bool)  { return reflect.TypeFor[T](), false }
func (m *mapping[T]) holds() (reflect.Type, bool) { return reflect.TypeFor[T](), true }
func (l *list[T]) holds() (reflect.Type, bool)    { return reflect.TypeFor[T](), false }

// spot is a place among the types of keys.go.
type spot struct {
	typ      reflect.Type
	tag      reflect.StructTag
	required bool
	free     bool // its name is the user's
}

// Explain tells of the key at a path: names with dots between them, where a stream, a column or a header may have any
// name and an element of a list is [0]. A path may begin inside of a stream: ingest.paginate. The error is an
// *[UnknownKeyError].
func Explain(path string) (*Key, error) {
	at := spot{typ: reflect.TypeFor[pipelineFile]()}
	names := keysOf(path)
	if path == "" {
		names = nil
	}
	if len(names) > 0 {
		names = fromTop(names)
	}
	for i, name := range names {
		next, known := at.child(name)
		if next == nil {
			return nil, &UnknownKeyError{Path: strings.Join(names[:i+1], "."), Hint: didYouMean(name, known, "known keys")}
		}
		at = *next
	}
	return at.key(strings.Join(names, ".")), nil
}

// fromTop completes a path that begins with a key of a stream, or of its ingest.
func fromTop(names []string) []string {
	if _, top := fieldsOf(reflect.TypeFor[pipelineFile]()).byName[names[0]]; top {
		return names
	}
	if _, stream := fieldsOf(reflect.TypeFor[streamFile]()).byName[names[0]]; stream {
		return append([]string{"streams", "NAME"}, names...)
	}
	if _, ingest := fieldsOf(reflect.TypeFor[ingestFile]()).byName[names[0]]; ingest {
		return append([]string{"streams", "NAME", "ingest"}, names...)
	}
	return names
}

// structure is the struct of keys.go that a spot holds, or nil.
func (s spot) structure() reflect.Type {
	t := s.typ
	if c, ok := reflect.TypeAssert[container](reflect.New(t)); ok {
		inner, named := c.holds()
		if named {
			return nil
		}
		t = inner
	}
	if _, leaf := reflect.TypeAssert[field](reflect.New(t)); leaf || t.Kind() != reflect.Struct {
		return nil
	}
	return t
}

// child is what a name leads to, or nil and the names that are known.
func (s spot) child(name string) (next *spot, known []string) {
	if c, ok := reflect.TypeAssert[container](reflect.New(s.typ)); ok {
		if inner, named := c.holds(); named {
			return &spot{typ: inner, tag: s.tag, free: true}, nil
		}
	}
	t := s.structure()
	if t == nil {
		return nil, nil
	}
	fields := fieldsOf(t)
	f, ok := fields.byName[name]
	if !ok {
		return nil, fields.names
	}
	return &spot{typ: f.typ, tag: f.tag, required: slices.Contains(fields.required, name)}, nil
}

func (s spot) key(path string) *Key {
	k := &Key{
		Path: path, Doc: s.tag.Get("doc"), Kind: s.kind(), Required: s.required, Default: s.tag.Get("default"),
		Example: exampleOf(path),
	}
	switch {
	case path == "":
		k.Doc = "One pipeline of streams: what is fetched from HTTP APIs, what is done to it, and the tables it goes to."
	case s.free && s.structure() != nil:
		k.Doc, k.Default = "One of them, under a name of your own. "+k.Doc, ""
	case s.free:
		k.Default = ""
	}
	if least, most := s.tag.Get("min"), s.tag.Get("max"); most != "" && !s.free {
		if least == "" {
			least = "0"
		}
		k.Bounds = "from " + least + " to " + most
	}
	if t := s.structure(); t != nil {
		fields := fieldsOf(t)
		k.OneOf = fields.oneOf
		for _, name := range fields.names {
			k.Keys = append(k.Keys, SubKey{name, fields.byName[name].tag.Get("doc"), slices.Contains(fields.required, name)})
		}
	}
	return k
}

// kind says what a value is.
func (s spot) kind() string {
	words := strings.Fields(s.tag.Get("words"))
	f := reflect.New(s.typ).Interface()
	if c, ok := f.(container); ok {
		return s.containerKind(c, words)
	}
	switch f.(type) {
	case *integer:
		return "a whole number"
	case *flag:
		return "true or false"
	case *duration:
		return "a duration such as 500ms, 30s, 1h30m or 7d"
	case *size:
		return "a size such as 8MiB"
	case *secret:
		return "a text that is never shown"
	case *secrets:
		return "a text that is never shown, or a list of them"
	case *jsonValue:
		return "any value"
	case *texts:
		return "a text, or a list of them"
	case *dottedPath:
		return "a path of names with dots between them"
	case *dottedPaths:
		return "a path of names with dots between them, or a list of paths"
	}
	if len(words) > 0 {
		return "one of " + strings.Join(words, ", ")
	}
	if _, ok := f.(field); !ok {
		return "a mapping"
	}
	return "a text"
}

// containerKind is kind of what holds other values; words are those that may stand in its place.
func (s spot) containerKind(c container, words []string) string {
	inner, named := c.holds()
	_, leaf := reflect.TypeAssert[field](reflect.New(inner))
	switch {
	case named && leaf:
		return "a mapping of names to values"
	case named:
		return "a mapping of names to mappings"
	case strings.HasPrefix(s.typ.Name(), "list["):
		return "a list of mappings"
	case len(words) == 0:
		return "a mapping"
	case words[0] == "*":
		return "a text, or a mapping"
	}
	return strings.Join(words, ", ") + ", or a mapping"
}

// Paths are the paths of all keys, in the order of the file. Where a name is the user's, there is NAME.
func Paths() []string {
	var out []string
	var walk func(path string, s spot)
	walk = func(path string, s spot) {
		if c, ok := reflect.TypeAssert[container](reflect.New(s.typ)); ok {
			if inner, named := c.holds(); named {
				out = append(out, path+".NAME")
				walk(path+".NAME", spot{typ: inner, tag: s.tag})
				return
			}
		}
		t := s.structure()
		if t == nil {
			return
		}
		for _, name := range fieldsOf(t).names {
			next, _ := s.child(name)
			at := strings.TrimPrefix(path+"."+name, ".")
			out = append(out, at)
			walk(at, *next)
		}
	}
	walk("", spot{typ: reflect.TypeFor[pipelineFile]()})
	return out
}

// Examples is a pipeline file in which each key stands as it is mostly used. It is what the examples of [Explain] are
// cut from.
//
//go:embed examples.yaml
var Examples []byte

var examples = sync.OnceValue(func() *yaml.Node {
	var doc yaml.Node
	if err := yaml.Unmarshal(Examples, &doc); err != nil {
		panic("examples.yaml: " + err.Error())
	}
	return doc.Content[0]
})

// exampleOf cuts the example of a key out of the examples: the first place that the path leads to, where a name of the
// user's stands for any.
func exampleOf(path string) string {
	if path == "" {
		return ""
	}
	names := keysOf(path)
	var found *yaml.Node
	for _, twin := range twins(names) {
		if found = cutOut(examples(), spot{typ: reflect.TypeFor[pipelineFile]()}, twin); found != nil {
			break
		}
	}
	if found == nil {
		return ""
	}
	var out strings.Builder
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(found); err != nil {
		return ""
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// twins are the places where a key may stand, beginning with the one that is asked for.
func twins(names []string) [][]string {
	out := [][]string{names}
	stream := []string{"streams", "NAME", "ingest"}
	switch {
	case names[0] == "http":
		out = append(out, slices.Concat(stream, names[1:]))
	case len(names) > 2 && names[0] == "defaults":
		out = append(out, slices.Concat(stream, names[2:]), slices.Concat([]string{"http"}, names[2:]))
	case len(names) > 3 && names[0] == "streams" && names[2] == "ingest":
		out = append(out, slices.Concat([]string{"http"}, names[3:]))
	}
	for _, twin := range out { // a resource has keys of its stream
		if len(twin) > 5 && twin[0] == "streams" && twin[3] == "deletes" && twin[4] == "resource" {
			out = append(out, slices.Concat(stream, twin[5:]))
		}
	}
	return out
}

// cutOut is the mapping n with nothing but the way to the names, or nil.
func cutOut(n *yaml.Node, at spot, names []string) *yaml.Node {
	if len(names) == 0 {
		return n
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			if inner := cutOut(c, at, names); inner != nil {
				return &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{inner}}
			}
		}
	case yaml.MappingNode:
		next, _ := at.child(names[0])
		if next == nil {
			return nil
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value != names[0] && !next.free {
				continue
			}
			if inner := cutOut(n.Content[i+1], *next, names[1:]); inner != nil {
				return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{n.Content[i], inner}}
			}
		}
	default:
	}
	return nil
}
