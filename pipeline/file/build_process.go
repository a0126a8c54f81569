package file

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor/plan"
	"github.com/millrace-io/millrace/processor/steps"
)

// flow is the steps of a stream beside where they stand in the file.
type flow struct {
	steps []pipeline.Step
	texts [][]*text // by step, the expressions, as in plan.Place
	made  *place    // the last map; nil: there is none, so the columns are fields of the record
}

func flowOf(f *streamFile) flow {
	var w flow
	for i := range f.Process.items {
		switch s := &f.Process.items[i].v; {
		case s.Filter.set && s.Filter.isWord():
			w.append(pipeline.Step{Filter: &pipeline.Filter{If: s.Filter.word.s}}, &s.Filter.word)
		case s.Filter.set:
			w.append(pipeline.Step{Filter: &pipeline.Filter{If: s.Filter.v.If.s, Once: s.Filter.v.Once.on}}, &s.Filter.v.If)
		case s.Map.set:
			columns := make([]pipeline.Column, len(s.Map.entries))
			texts := make([]*text, len(columns))
			for i := range s.Map.entries {
				e := &s.Map.entries[i]
				columns[i], texts[i] = pipeline.Column{Name: e.name, Expr: e.v.s}, &e.v
			}
			w.append(pipeline.Step{Map: columns}, texts...)
			w.made = &s.Map.place
		case s.Transform.set:
			name, version, _ := strings.Cut(s.Transform.s, "@")
			w.append(pipeline.Step{Transform: &pipeline.Transform{Name: name, Version: version}}, &s.Transform)
		}
	}
	return w
}

func (w *flow) append(s pipeline.Step, texts ...*text) {
	w.steps, w.texts = append(w.steps, s), append(w.texts, texts)
}

// text is the expression at a place; nil: it is none of the file's.
func (w *flow) text(at plan.Place) *text {
	if at.Step >= len(w.texts) {
		return nil
	}
	return w.texts[at.Step][at.Use]
}

// checkFlow has the steps of a stream compiled and checks the way of names from the record to the table: every
// column must be made, everything that is made must have a column, and key columns must come from the raw key.
func (d *decoder) checkFlow(f *streamFile, s *pipeline.Stream, w flow) {
	if f.Process.set && !w.whole(f) {
		return // what the steps make is not known, and that is reported
	}
	p, problems := steps.Plan(s)
	unsound := map[int]bool{} // steps of which not all names are known
	for _, problem := range problems {
		unsound[problem.At.Step] = true
		if t := w.text(problem.At); t != nil && t.ok { // else it is reported already, as the text that it is not
			d.expressionProblem(t, problem.Err)
		}
	}
	sound := true // the sources of all columns are known
	for i, step := range w.steps {
		if step.Map != nil && (unsound[i] || slices.ContainsFunc(w.texts[i], func(t *text) bool { return !t.ok })) {
			sound = false
		}
	}
	if s.Ingest.Slices == nil && !f.Ingest.v.Slices.set && !f.Ingest.v.ForEach.set {
		d.noSlice(&w)
	}
	d.warnWords(f, &w)
	if f.Sink.v.Columns.ok {
		d.checkColumns(&f.Sink.v, p.Last().Names, w.made)
		if sound && f.Ingest.v.Key.ok {
			d.checkKey(&f.Sink.v, &f.Ingest.v.Key, p, &w)
		}
	}
}

// whole reports whether each step of the file is one that is known.
func (w *flow) whole(f *streamFile) bool {
	if !f.Process.ok || len(w.steps) != len(f.Process.items) {
		return false
	}
	return !slices.ContainsFunc(f.Process.items, func(i item[stepFile]) bool {
		kinds := 0
		for _, set := range []bool{i.v.Filter.set, i.v.Map.set, i.v.Transform.set} {
			if set {
				kinds++
			}
		}
		return kinds > 1
	})
}

// noSlice reports expressions that name the slice, where there are no slices.
func (d *decoder) noSlice(w *flow) {
	for _, t := range slices.Concat(w.texts...) {
		program, err := expression.Compile(t.s)
		if err != nil {
			continue
		}
		if slices.ContainsFunc(program.Fields(), func(path []string) bool { return len(path) == 1 && path[0] == pipeline.SliceField }) {
			d.reportf(t.place, "", "%s stands for the name of a slice, and there are no slices", pipeline.SliceField)
		}
	}
}

// checkColumns compares what the last map, at made, makes with what the table takes.
func (d *decoder) checkColumns(f *sinkFile, makes []string, made *place) {
	if made == nil {
		return // which fields records have is not known
	}
	columns := f.Columns.names()
	for i := range f.Columns.entries {
		if c := &f.Columns.entries[i]; !slices.Contains(makes, c.name) {
			d.reportAt(c.key, 0, 0, c.path, didYouMean(c.name, makes, "the map makes"), "no step makes the column "+quote(c.name))
		}
	}
	for i, name := range makes {
		if !slices.Contains(columns, name) {
			key := f.Columns.at() // of the map's own entry, if it can be told
			if n := made.node; n.Kind == yaml.MappingNode && 2*i < len(n.Content) && n.Content[2*i].Value == name {
				key = n.Content[2*i]
			}
			if why := badColumn(name); why != "" {
				d.reportAt(key, 0, 0, made.path+"."+name, "give it another name, here and in sink.columns", "the column "+quote(name)+" "+why)
				continue
			}
			d.reportAt(key, 0, 0, made.path+"."+name, didYouMean(name, columns, "columns"), "the table has no column "+quote(name)+": it would be dropped")
		}
	}
}
