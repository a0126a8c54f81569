package steps

import (
	"github.com/millrace-io/millrace/pipeline"
)

// mapper makes columns, one by each expression. What it does not name is gone.
type mapper struct{ level int }

func compileMap(b *builder, s *pipeline.Step) step {
	if s.Map == nil {
		return nil
	}
	m := &mapper{b.level()}
	columns := make([]column, len(s.Map))
	for i, c := range s.Map {
		label := b.label("map." + c.Name)
		columns[i] = newColumn(i, c.Name, label, b.expression(label, c.Expr))
	}
	b.makes(columns)
	return m
}

// compilePass passes columns through that are there already, each as it is. labels are their places in the file.
func compilePass(b *builder, names, labels []string) step {
	m := &mapper{b.level()}
	columns := make([]column, len(names))
	for i, name := range names {
		columns[i] = newColumn(i, name, labels[i], b.field(labels[i], name))
	}
	b.makes(columns)
	return m
}

func (m *mapper) apply(r *Runner, next int) error {
	columns, values, frame := r.chain.levels[m.level].columns, r.values[m.level], r.frames[m.level]
	for i := range columns {
		var err error
		if values[i], err = columns[i].eval(frame); err != nil {
			return err
		}
	}
	r.descend(m.level + 1)
	return r.run(next)
}
