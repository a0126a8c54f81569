package file

import (
	"regexp"
	"slices"

	"github.com/millrace-io/millrace/pipeline"
)

var (
	placeholder = regexp.MustCompile(`(^|[^$])\{([A-Za-z_][A-Za-z0-9_]*)\}`)
	sliceName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// slices builds the slices, and checks that {name} stands for them where it is used, and is used.
func (d *decoder) slices(f *ingestFile) *pipeline.Slices {
	var s *pipeline.Slices
	var known []string
	if len(f.Slices.entries) > 0 {
		e := &f.Slices.entries[0]
		s = &pipeline.Slices{Name: e.name, Values: e.v.strings()}
		known = []string{e.name}
		if !sliceName.MatchString(e.name) {
			d.reportAt(e.key, 0, 0, e.path, "", quote(e.name)+" cannot be the name of a slice: letters, digits and _, and no digit first")
		}
		seen := map[string]bool{}
		for i := range e.v.list {
			v := &e.v.list[i]
			if v.ok && seen[v.s] {
				d.reportf(v.place, "", "%s stands here twice", shown(v.place))
			}
			seen[v.s] = true
		}
	}
	used := false
	check := func(t *text) {
		for _, m := range placeholder.FindAllStringSubmatch(t.s, -1) {
			if slices.Contains(known, m[2]) {
				used = true
			} else if t.ok && !t.refs {
				d.reportf(t.place, didYouMean(m[2], known, "known slices"), "{%s} stands for nothing: there is no slice of that name", m[2])
			}
		}
	}
	check(&f.Path)
	for i := range f.Query.entries {
		check(&f.Query.entries[i].v)
	}
	if s != nil && !used {
		d.reportf(f.Slices.place, "put {"+s.Name+"} into path or a value of query", "every slice would fetch the same: {%s} is used nowhere", s.Name)
	}
	return s
}
