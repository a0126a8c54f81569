package file

import (
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
)

func (d *decoder) steps(f *streamFile) []pipeline.Step {
	var steps []pipeline.Step
	for i := range f.Process.items {
		switch s := &f.Process.items[i].v; {
		case s.Filter.set && s.Filter.isWord():
			steps = append(steps, pipeline.Step{Filter: &pipeline.Filter{If: s.Filter.word.s}})
		case s.Filter.set:
			steps = append(steps, pipeline.Step{Filter: &pipeline.Filter{If: s.Filter.v.If.s, Once: s.Filter.v.Once.on}})
		case s.Map.set:
			var columns []pipeline.Column
			for _, c := range s.Map.entries {
				columns = append(columns, pipeline.Column{Name: c.name, Expr: c.v.s})
			}
			steps = append(steps, pipeline.Step{Map: columns})
		}
	}
	return steps
}

// source is what a value is computed from: fields of the record as the API sent it.
type source []origin

type origin struct {
	path   []string // split at the dots; empty: the whole record
	hidden bool     // the expression has a reference, so messages do not show the path
}

// scope is what expressions may name at a point between two steps.
type scope struct {
	columns map[string]source // what an earlier map made; nil: the record's own fields
	names   []string          // of columns, in order
	at      place             // of that map
}

// checkFlow compiles the expressions of a stream and follows what they name from the record to the table: every
// column must be made, everything that is made must have a column, and key columns must come from the raw key.
func (d *decoder) checkFlow(f *streamFile) {
	var now scope
	sound := true // so far everything that has a name is known
	for i := range f.Process.items {
		switch s := &f.Process.items[i].v; {
		case s.Filter.set && s.Filter.isWord():
			d.sourceOf(&s.Filter.word, now)
		case s.Filter.set:
			d.sourceOf(&s.Filter.v.If, now)
		case s.Map.set:
			next := scope{columns: map[string]source{}, at: s.Map.place}
			for i := range s.Map.entries {
				e := &s.Map.entries[i]
				next.names = append(next.names, e.name)
				from, ok := d.sourceOf(&e.v, now)
				if !ok {
					from = nil
					sound = false
				}
				next.columns[e.name] = from
			}
			now = next
		}
	}
	if f.Sink.v.Columns.ok {
		d.checkColumns(&f.Sink.v, now)
		if sound && f.Ingest.v.Key.ok {
			d.checkKey(&f.Sink.v, &f.Ingest.v.Key, now)
		}
	}
}

// sourceOf compiles an expression and returns which fields of the record its value comes from.
func (d *decoder) sourceOf(t *text, now scope) (from source, ok bool) {
	if !t.ok {
		return nil, false
	}
	program, err := expression.Compile(t.s)
	if err != nil {
		d.expressionProblem(t, err)
		return nil, false
	}
	ok = true
	for _, path := range program.Fields() {
		if now.columns == nil {
			from = append(from, origin{path, t.refs})
			continue
		}
		if len(path) == 0 { // all that the earlier map made
			for _, name := range now.names {
				from = append(from, now.columns[name]...)
			}
			continue
		}
		made, known := now.columns[path[0]]
		if !known {
			name, hint := quote(path[0]), didYouMean(path[0], now.names, "it makes")
			if t.refs {
				name, hint = "a name in it", ""
			}
			d.reportf(t.place, hint, "%s is not there any more: the map before it makes only what it names", name)
			ok = false
			continue
		}
		from = append(from, made...)
	}
	return from, ok
}

// expressionProblem reports what is wrong with an expression, at its place in the file as nearly as it is known.
func (d *decoder) expressionProblem(t *text, err error) {
	if t.refs { // the text of the error may quote what the reference stands for
		d.reportf(t.place, "", "with its references resolved, this is not an expression")
		return
	}
	var e *expression.Error
	if !errors.As(err, &e) {
		d.reportf(t.place, "", "%v", err)
		return
	}
	if lines, columns, ok := d.offset(t.node, e.Line, e.Column); ok {
		d.reportAt(t.node, lines, columns, t.path, e.Hint, e.Message)
		return
	}
	d.reportf(t.place, e.Hint, "line %d, column %d of the expression: %s", e.Line, e.Column, e.Message)
}

// offset says where line and column of a value, both from 1, are in the file, beyond the start of its node. Folded and
// escaped text has no such place in general, so what is found must be the very text.
func (d *decoder) offset(n *yaml.Node, line, column int) (lines, columns int, ok bool) {
	value := strings.Split(n.Value, "\n")
	if line > len(value) || n.Line+line-1 > len(d.lines) {
		return 0, 0, false
	}
	want, skip := value[line-1], 0
	indent := n.Column - 1
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		lines = line // the text begins below its indicator
		if n.Line+lines > len(d.lines) {
			return 0, 0, false
		}
		got := strings.TrimRight(d.lines[n.Line+lines-1], "\r")
		indent = len([]rune(strings.TrimSuffix(got, want)))
		skip = indent - (n.Column - 1)
	case line > 1:
		return 0, 0, false
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		indent, skip = indent+1, 1
	}
	got := []rune(d.lines[n.Line+lines-1])
	if indent > len(got) || !strings.HasPrefix(string(got[indent:]), want) {
		return 0, 0, false
	}
	return lines, skip + column - 1, true
}

// checkColumns compares what the last map makes with what the table takes.
func (d *decoder) checkColumns(f *sinkFile, last scope) {
	if last.columns == nil {
		return // which fields records have is not known
	}
	columns := f.Columns.names()
	for i := range f.Columns.entries {
		if c := &f.Columns.entries[i]; !slices.Contains(last.names, c.name) {
			d.reportAt(c.key, 0, 0, c.path, didYouMean(c.name, last.names, "the map makes"), "no step makes the column "+quote(c.name))
		}
	}
	for i, name := range last.names {
		if !slices.Contains(columns, name) {
			key := f.Columns.at() // of the map's own entry, if it can be told
			path := last.at.path + "." + name
			if n := last.at.node; n.Kind == yaml.MappingNode && 2*i < len(n.Content) && n.Content[2*i].Value == name {
				key = n.Content[2*i]
			}
			d.reportAt(key, 0, 0, path, didYouMean(name, columns, "columns"), "the table has no column "+quote(name)+": it would be dropped")
		}
	}
}
