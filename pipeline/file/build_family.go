package file

import (
	"slices"
	"strings"

	"github.com/millrace-io/millrace/pipeline"
)

// forEach builds what a stream has of its parent, and the fields that its records are given.
func (d *decoder) forEach(f *ingestFile) (of *pipeline.ForEach, added []pipeline.Added) {
	if f.ForEach.set {
		of = &pipeline.ForEach{Parent: f.ForEach.s, OnDelete: f.OnParentDelete.s}
	} else if f.OnParentDelete.set {
		d.reportf(f.OnParentDelete.place, "name the parent with for_each", "there is no parent that could be deleted")
	}
	for i := range f.Add.entries {
		e := &f.Add.entries[i]
		if e.v.refs {
			d.reportf(e.v.place, "write ${plain:NAME} for what may be seen", "a hidden value cannot be added to records")
		}
		added = append(added, pipeline.Added{Name: e.name, Text: e.v.s})
	}
	return of, added
}

// parentPlaceholder reports a placeholder with a dot in it that stands for nothing.
func (d *decoder) parentPlaceholder(f *ingestFile, t *text, name, stream string) {
	switch {
	case !f.ForEach.set && slices.Contains(d.streams, stream):
		d.reportf(t.place, "say for_each: "+stream, "{%s} stands for nothing: the stream is made from no other", name)
	case f.ForEach.set && stream == f.ForEach.s:
		_, field, _ := strings.Cut(name, ".")
		_, err := pipeline.ParsePath(field)
		d.reportf(t.place, "", "{%s} stands for nothing: %v", name, err)
	case f.ForEach.set:
		d.reportf(t.place, "fields of the parent alone stand here, as in {"+f.ForEach.s+".id}; what that has of its own parent it may be given with add",
			"{%s} stands for nothing", name)
	}
}

// family checks a child against its parent.
func (d *decoder) family(f *ingestFile, p *pipeline.Pipeline, s *pipeline.Stream) {
	of := s.Ingest.ForEach
	if of == nil { // a stream that is delivered, or of events, has none: that is reported where it is built
		return
	}
	parent := p.Stream(of.Parent)
	if parent == nil {
		d.reportf(f.ForEach.place, didYouMean(of.Parent, d.streams, "streams"), "there is no stream %s", quote(of.Parent))
		return
	}
	if all := p.Ancestors(s); parent == s || all[len(all)-1].Ingest.ForEach != nil && p.Stream(all[len(all)-1].Ingest.ForEach.Parent) == s {
		d.reportf(f.ForEach.place, "", "the stream would be made from its own records")
		return
	}
	if !f.Key.ok {
		return
	}
	switch {
	case slices.Contains(s.Ingest.Key, pipeline.SliceField) || toldApart(&s.Ingest, parent):
	case !f.Disjoint.set:
		d.reportf(f.ForEach.place, "put the parent's key into key, by way of add: {"+parent.Name+"_id: \"{"+parent.Name+".id}\"}, or $slice; "+
			"say disjoint: true if a key shows up under one record of the parent alone; disjoint: false if it may move from one to another",
			"may two records of %s have records with the same key? They would be taken for one record", quote(parent.Name))
	default:
		of.Shared = !f.Disjoint.on
		if of.Shared && s.Ingest.Deletes != nil {
			d.mayHaveMoved(f)
		}
		if of.Shared && of.OnDelete == "delete" {
			d.reportf(f.OnParentDelete.place, "say keep, or disjoint: true", "what may move to another record of the parent cannot be deleted with one")
		}
	}
}

// toldApart reports whether the key holds all of the parent's key, if there is one, and a value of each list.
func toldApart(in *pipeline.Ingest, parent *pipeline.Stream) bool {
	holds := func(placeholder string) bool {
		return slices.ContainsFunc(in.Add, func(a pipeline.Added) bool {
			return a.Text == "{"+placeholder+"}" && slices.Contains(in.Key, pipeline.FormatPath([]string{a.Name}))
		})
	}
	for _, k := range keyOf(parent) {
		if !holds(parent.Name + "." + k) {
			return false
		}
	}
	for _, list := range in.Slices.Lists() {
		if !holds(list.Name) {
			return false
		}
	}
	return true
}

func keyOf(s *pipeline.Stream) []string {
	if s == nil {
		return nil
	}
	return s.Ingest.Key
}
