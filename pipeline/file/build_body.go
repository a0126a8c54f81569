package file

import (
	"maps"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/pipeline"
)

func (d *decoder) body(o *object[bodyFile]) *pipeline.Body {
	if !o.ok {
		return nil
	}
	f := &o.v
	b := &pipeline.Body{Type: f.Type.s, Text: f.Text.s}
	switch {
	case f.JSON.set:
		b.JSON = f.JSON.json
	case f.GraphQL.set:
		q := &f.GraphQL.v
		b.GraphQL, b.JSON = q.Query.s, q.Variables.json
		if q.Variables.ok && b.JSON[0] != '{' {
			d.reportf(q.Variables.place, "", "variables is a mapping of names and values")
		}
	case f.Form.set:
		b.Form = map[string][]string{}
		for i := range f.Form.entries {
			b.Form[f.Form.entries[i].name] = f.Form.entries[i].v.strings()
		}
	}
	if f.Type.ok && !headerValue.MatchString(f.Type.s) {
		d.reportf(f.Type.place, "", "the value has characters that a header cannot hold, such as a line break")
	}
	return b
}

// places are the texts of a file in which placeholders may stand.
type places struct {
	path  []*text
	other []*text
}

func placesOf(f *ingestFile) places {
	p := places{path: []*text{&f.Path}}
	add := func(list []text) {
		for i := range list {
			p.other = append(p.other, &list[i])
		}
	}
	for i := range f.Query.entries {
		add(f.Query.entries[i].v.list)
	}
	for i := range f.Headers.entries {
		e := &f.Headers.entries[i].v
		p.other = append(p.other, &text{leaf: e.leaf, s: e.v.Reveal(), refs: true})
	}
	b := &f.Body.v
	add(b.JSON.texts)
	add(b.GraphQL.v.Variables.texts)
	for i := range b.Form.entries {
		add(b.Form.entries[i].v.list)
	}
	if b.Text.set {
		p.other = append(p.other, &b.Text)
	}
	return p
}

// holds reports whether a placeholder stands anywhere.
func (p places) holds(name string) bool {
	return slices.ContainsFunc(slices.Concat(p.path, p.other), func(t *text) bool {
		return slices.Contains(pipeline.PlaceholdersIn(t.s), name)
	})
}

// holdsPrefix reports whether a placeholder stands anywhere that begins so.
func (p places) holdsPrefix(prefix string) bool {
	return slices.ContainsFunc(slices.Concat(p.path, p.other), func(t *text) bool {
		return slices.ContainsFunc(pipeline.PlaceholdersIn(t.s), func(name string) bool { return strings.HasPrefix(name, prefix) })
	})
}

// knownPlaceholders checks that what stands for something is known.
func (d *decoder) knownPlaceholders(f *ingestFile, at places, all map[string]bool) {
	known := slices.Sorted(maps.Keys(all))
	added := make([]*text, len(f.Add.entries))
	for i := range f.Add.entries {
		added[i] = &f.Add.entries[i].v
	}
	for _, t := range slices.Concat(at.path, at.other, added) {
		for _, name := range pipeline.PlaceholdersIn(t.s) {
			if stream, _, dotted := strings.Cut(name, "."); dotted && !all[name] && t.ok && !t.refs {
				d.parentPlaceholder(f, t, name, stream)
				continue
			}
			if !all[name] && t.ok && !t.refs {
				hint := didYouMean(name, known, "known placeholders")
				if nearest(name, known) == "" {
					own := "one of your own has its values in slices: {" + name + ": [a, b]}"
					hint = strings.TrimPrefix(hint+"; "+own, "; ")
				}
				d.reportf(t.place, hint, "{%s} stands for nothing", name)
			}
		}
	}
}

// placeholders checks that what stands for something is known, and that what must stand somewhere does.
func (d *decoder) placeholders(f *ingestFile, in *pipeline.Ingest) {
	at := placesOf(f)
	all := in.Placeholders()
	d.knownPlaceholders(f, at, all)
	first := "its number"
	switch p := &in.Paginate; {
	case p.Cursor != nil:
		first = p.Cursor.First
	case p.Keyset != nil:
		first = p.Keyset.First
	}
	inPath := func(name string) bool { return slices.Contains(pipeline.PlaceholdersIn(f.Path.s), name) }
	if all[pipeline.PlaceCursor] && inPath(pipeline.PlaceCursor) && first == "" {
		d.reportf(f.Path.place, "set first in paginate", "a path needs a value for {cursor} on the first page, too")
	}
	if i := in.Incremental; i != nil {
		if i.Param == "" && i.Order == "" && !at.holds(pipeline.PlaceSince) {
			d.reportf(f.Incremental.place, "set param, or put {since} into query, path, headers or body; or say order: newest_first", "nothing in the request says since when")
		}
		if inPath(pipeline.PlaceSince) && i.Start == "" {
			d.reportf(f.Path.place, "set incremental.start", "a path needs a value for {since} in the first pass, too")
		}
	}
	d.windowed(f, in, at)
	for _, list := range in.Slices.Lists() {
		if !at.holds(list.Name) {
			d.reportf(f.Slices.place, "put {"+list.Name+"} into path, query, headers or body", "every slice would fetch the same: {%s} is used nowhere", list.Name)
		}
	}
	if of := in.ForEach; of != nil && f.ForEach.ok && !at.holdsPrefix(of.Parent+".") {
		d.reportf(f.ForEach.place, "put a field of it into path, query, headers or body: {"+of.Parent+".id}",
			"every record of %s would fetch the same", quote(of.Parent))
	}
}
