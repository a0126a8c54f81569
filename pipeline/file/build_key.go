package file

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/processor/plan"
)

// checkKey makes sure that key columns are computed from the fields of the raw key, and from nothing else: a revision
// that changed another field would move the row to another key, and the old row would stay. And from all of them:
// two raw keys that differ in a field that no column has would share a row, as would two that a column makes one of.
func (d *decoder) checkKey(f *sinkFile, key *dottedPaths, p *plan.Plan, w *flow) {
	var raw []string
	for i := range key.list {
		raw = append(raw, key.list[i].node.Value) // as it is written
	}
	used, kept := map[string]bool{}, map[string]bool{} // fields of the raw key
	keys := 0
	sound := true
	for i := range f.Columns.entries {
		c := &f.Columns.entries[i]
		if !c.v.ok || !slices.Contains(strings.Fields(strings.ToLower(c.v.s)), "key") {
			continue
		}
		keys++
		column := p.Last().Column(c.name)
		if column < 0 {
			sound = false
			continue
		}
		if path := p.Last().Keeps[column]; path != nil {
			field, _ := keyField(path, key)
			kept[field] = true
		}
		for _, o := range p.Last().Sources[column] {
			field, ok := keyField(o.Path, key)
			used[field] = true
			if ok {
				continue
			}
			sound = false
			d.reportf(c.v.place, keyHint(c.name, raw, w), "the key column %s is computed from %s, which is not in the raw key (%s): "+
				"a revision that changes it would move the row to another key", quote(c.name), w.shown(o), strings.Join(raw, ", "))
			break
		}
	}
	if sound && keys > 0 {
		d.checkRawKey(key, used, kept)
	}
}

// checkRawKey makes sure that every field of the raw key is used by a key column, and kept by one as it is.
func (d *decoder) checkRawKey(key *dottedPaths, used, kept map[string]bool) {
	for i := range key.list {
		switch v := &key.list[i]; {
		case !used[v.s]:
			d.reportf(v.place, "make a key column from it too, or remove it from ingest.key",
				"the raw key has %s, but no key column is computed from it: records that differ in it alone would share a row", v.show())
		case !kept[v.s]:
			d.reportf(v.place, "make a key column of the field as it is", "no key column tells apart all values of %s that the raw key tells apart: "+
				"what is computed from it may be the same for two of them, and their records would share a row", v.show())
		}
	}
}

// keyField returns the field of the raw key that a path names, or lies in.
func keyField(path []string, key *dottedPaths) (field string, ok bool) {
	for i := range key.list {
		f := strings.Join(key.list[i].fields, ".") // a name with dots in it needs no quotes: see pipeline.PathTakes
		for n := range path {
			if strings.Join(path[:n+1], ".") == f {
				return key.list[i].s, true
			}
		}
	}
	return "", false
}

func keyHint(column string, raw []string, w *flow) string {
	if w.made == nil && strings.Contains(strings.Join(raw, ""), ".") {
		return fmt.Sprintf("without a map, columns are fields of the record by name: add a map, with %s: %s", column, raw[0])
	}
	return "compute it from fields of ingest.key alone, or put the field into ingest.key"
}

// shown names a field in a message, but not where a reference may have brought it into the expression.
func (w *flow) shown(o plan.Origin) string {
	switch t := w.text(o.At); {
	case t != nil && t.refs:
		return "a field"
	case len(o.Path) == 0:
		return "the whole record"
	}
	return quote(strings.Join(o.Path, "."))
}
