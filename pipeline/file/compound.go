package file

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/pipeline"
)

// object is a mapping with known keys; T is a struct of keys.go.
type object[T any] struct {
	leaf
	v T
}

func (o *object[T]) decode(d *decoder, p place) {
	o.begin(p)
	o.ok = p.node.Kind == yaml.MappingNode
	d.value(&o.v, p)
}

// choice is a word, or a mapping with known keys. Tag words lists the words; "*" is any text.
type choice[T any] struct {
	leaf
	word text
	v    T
}

func (c *choice[T]) decode(d *decoder, p place) {
	c.begin(p)
	if p.node.Kind == yaml.MappingNode {
		c.ok = true
		d.value(&c.v, p)
		return
	}
	words := strings.Fields(p.tag.Get("words"))
	want := strings.Join(words, ", ") + ", or a mapping with the keys " + strings.Join(fieldsOf(reflect.TypeFor[T]()).names, ", ")
	if words[0] == "*" {
		words = nil
		want = strings.Replace(want, "*", "a text", 1)
	}
	if p.node.Kind != yaml.ScalarNode || p.node.Tag == "!!null" {
		d.reportf(p, "", "%s; want %s", kindOf(p.node), want)
		return
	}
	p.tag = ""
	c.word.decode(d, p)
	if c.ok = c.word.ok; c.ok && words != nil && !slices.Contains(words, c.word.s) {
		hint := "want " + want
		if k := nearest(p.node.Value, words); k != "" {
			hint = fmt.Sprintf("did you mean %q?", k)
		}
		c.failf(d, hint, "%s is not known", shown(p))
	}
}

func (c *choice[T]) isWord() bool { return c.word.set }

// mapping is a mapping whose keys the user names; T is a field or a struct of keys.go. Its tags hold for the
// values too. Tag names "name" asks for names of streams; minItems and maxItems bound its size.
type mapping[T any] struct {
	leaf
	entries []entry[T] // in the order of the file
}

type entry[T any] struct {
	place
	name string
	v    T
}

func (m *mapping[T]) decode(d *decoder, p place) {
	m.begin(p)
	pairs, ok := d.pairs(p, "a mapping")
	if !ok {
		return
	}
	m.ok = true
	least, _ := strconv.Atoi(p.tag.Get("minItems"))
	most, err := strconv.Atoi(p.tag.Get("maxItems"))
	if err != nil {
		most = len(pairs)
	}
	switch {
	case len(pairs) < least:
		m.failf(d, "", "is empty; want at least %d", least)
	case len(pairs) > most:
		m.failf(d, "", "has %d entries; want %d at most", len(pairs), most)
	}
	for _, e := range pairs {
		at := p.child(e.key, e.value, p.tag)
		if p.tag.Get("names") == "name" {
			if why := badName(e.key.Value); why != "" {
				d.reportAt(e.key, 0, 0, at.path, nameHint(e.key.Value), "the name "+quote(e.key.Value)+" "+why)
			}
		}
		m.entries = append(m.entries, entry[T]{place: at, name: e.key.Value})
		d.value(&m.entries[len(m.entries)-1].v, at)
	}
}

func (m *mapping[T]) names() []string {
	out := make([]string, len(m.entries))
	for i, e := range m.entries {
		out[i] = e.name
	}
	return out
}

// list is a list of structs of keys.go.
type list[T any] struct {
	leaf
	items []item[T]
}

type item[T any] struct {
	place
	v T
}

func (l *list[T]) decode(d *decoder, p place) {
	l.begin(p)
	if p.node.Kind != yaml.SequenceNode {
		hint := ""
		if p.node.Kind == yaml.MappingNode {
			hint = `begin each element with "- "`
		}
		d.reportf(p, hint, "%s; want a list", kindOf(p.node))
		return
	}
	l.ok = true
	l.items = make([]item[T], len(p.node.Content))
	for i, n := range p.node.Content {
		l.items[i].place = p.item(i, n)
		d.value(&l.items[i].v, l.items[i].place)
	}
}

// path reads a path, or reports what is wrong with it.
func (d *decoder) path(at *leaf, text string) []string {
	names, err := pipeline.ParsePath(text)
	if e, ok := errors.AsType[*pipeline.PathError](err); ok {
		at.failf(d, e.Hint, "%s %s", shown(at.place), e.Problem)
	}
	return names
}
