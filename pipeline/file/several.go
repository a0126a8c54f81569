package file

import (
	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/pipeline"
)

// texts is a text, or a list of one or more.
type texts struct {
	leaf
	list []text
}

func (t *texts) decode(d *decoder, p place) {
	t.begin(p)
	t.list, t.ok = oneOrMore(d, p, "text", func(v *text) bool { return v.ok })
}

func (t *texts) strings() []string {
	out := make([]string, len(t.list))
	for i := range t.list {
		out[i] = t.list[i].s
	}
	return out
}

// secrets is a text that is never shown, or a list of one or more.
type secrets struct {
	leaf
	list []secret
}

func (s *secrets) decode(d *decoder, p place) {
	s.begin(p)
	s.list, s.ok = oneOrMore(d, p, "text", func(v *secret) bool { return v.ok })
}

// split is the only one, or all of several.
func (s *secrets) split() (one pipeline.Secret, several []pipeline.Secret) {
	if len(s.list) == 1 {
		return s.list[0].v, nil
	}
	for i := range s.list {
		several = append(several, s.list[i].v)
	}
	return "", several
}

// dottedPath is names of object keys with dots between them: meta.next_cursor.
type dottedPath struct {
	text
	fields []string
}

func (v *dottedPath) decode(d *decoder, p place) {
	v.text.decode(d, p)
	if !v.ok {
		return
	}
	v.fields = d.path(&v.leaf, v.s)
}

// dottedPaths is a dotted path, or a list of one or more.
type dottedPaths struct {
	leaf
	list []dottedPath
}

func (v *dottedPaths) decode(d *decoder, p place) {
	v.begin(p)
	v.list, v.ok = oneOrMore(d, p, "a dotted path", func(v *dottedPath) bool { return v.ok })
}

// oneOrMore decodes a single value or a list of them.
func oneOrMore[T any](d *decoder, p place, what string, right func(*T) bool) (out []T, ok bool) {
	switch {
	case p.node.Kind == yaml.MappingNode:
		d.reportf(p, "", "this is a mapping; want %s, or a list", what)
		return nil, false
	case p.node.Kind != yaml.SequenceNode:
		out = make([]T, 1)
		d.value(&out[0], p)
		return out, right(&out[0])
	case len(p.node.Content) == 0:
		d.reportf(p, "", "the list is empty")
		return nil, false
	}
	ok = true
	out = make([]T, len(p.node.Content))
	for i, n := range p.node.Content {
		d.value(&out[i], p.item(i, n))
		ok = ok && right(&out[i])
	}
	return out, ok
}
