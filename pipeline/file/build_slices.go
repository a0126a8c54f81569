package file

import (
	"regexp"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/pipeline"
)

var sliceName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reserved are placeholders that stand for something else.
var reserved = []string{pipeline.PlaceSince, pipeline.PlaceUntil, pipeline.PlaceCursor, pipeline.PlaceLimit}

// slices builds the slices.
func (d *decoder) slices(f *ingestFile) *pipeline.Slices {
	var s *pipeline.Slices
	for i := range f.Slices.entries {
		e := &f.Slices.entries[i]
		if s == nil {
			s = &pipeline.Slices{Name: e.name, Values: e.v.strings()}
		} else {
			s.Crossed = append(s.Crossed, pipeline.SliceList{Name: e.name, Values: e.v.strings()})
		}
		if !sliceName.MatchString(e.name) {
			d.reportAt(e.key, 0, 0, e.path, "", quote(e.name)+" cannot be the name of a slice: letters, digits and _, and no digit first")
		}
		if slices.Contains(reserved, e.name) {
			d.reportAt(e.key, 0, 0, e.path, "", "{"+e.name+"} stands for something else in each request: give the slices another name")
		}
		seen := map[string]bool{}
		for i := range e.v.list {
			v := &e.v.list[i]
			if v.refs {
				d.reportf(v.place, "write ${plain:NAME} for what may be seen", "a hidden value cannot name a slice: the name is shown in logs, topics and metrics")
			}
			if v.ok && seen[v.s] {
				d.reportf(v.place, "", "%s stands here twice", shown(v.place))
			}
			seen[v.s] = true
		}
	}
	if !f.ForEach.set { // else it depends on the parent, see [decoder.families]
		d.sharedKeys(f, s)
	}
	return s
}

// listsInKey reports whether the key has a value of each list, by way of add.
func (d *decoder) listsInKey(f *ingestFile, s *pipeline.Slices) bool {
	in := pipeline.Ingest{Slices: s}
	for i := range f.Key.list {
		in.Key = append(in.Key, f.Key.list[i].s)
	}
	for i := range f.Add.entries {
		in.Add = append(in.Add, pipeline.Added{Name: f.Add.entries[i].name, Text: f.Add.entries[i].v.s})
	}
	return toldApart(&in, nil)
}

// sharedKeys asks whether several slices may show the same key: two records of one key are revisions of one another.
func (d *decoder) sharedKeys(f *ingestFile, s *pipeline.Slices) {
	inKey := slices.ContainsFunc(f.Key.list, func(p dottedPath) bool { return p.s == pipeline.SliceField })
	switch {
	case s != nil && d.listsInKey(f, s):
	case s == nil && f.Disjoint.set && strings.HasPrefix(f.Disjoint.path, "streams."):
		d.reportf(f.Disjoint.place, "", "there are no slices that could be disjoint")
	case s == nil && inKey:
		d.reportf(f.Key.place, "", "%s stands for the name of a slice, and there are no slices", pipeline.SliceField)
	case s == nil || inKey:
	case !f.Disjoint.set && f.Key.ok:
		d.reportf(f.Slices.place, "put $slice into key if each slice counts its own records; say disjoint: true if a key shows up in one slice alone; "+
			"disjoint: false if it may move from one to another", "may two slices have records with the same key? They would be taken for one record")
	default:
		s.Shared = !f.Disjoint.on
		if m := &f.Version.v.Missing; s.Shared && m.s == "newest" {
			d.reportf(m.place, "say letter or oldest", "what is the newest is not known where another slice may have the same key")
		}
	}
}
