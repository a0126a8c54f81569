package steps

import "fmt"

// Traced is a record after a step.
type Traced struct {
	Step  int    // of the pipeline file, from 0; -1: the columns that the table takes, where no map makes them
	Label string // as in process[1].map
	Value []byte // the record, as JSON: after a map, an object of its columns
}

// Trace is [Runner.Apply] that tells the record after every step that let it through, in the order in which the steps
// ran. It is for people to look at: it costs much more.
func (r *Runner) Trace(dst, value, slice []byte) (Outcome, []Traced, error) {
	var seen []Traced
	r.trace = func(next int) {
		if next == 0 {
			return
		}
		t := Traced{Step: next - 1, Label: r.chain.labels[next-1]}
		if t.Label == "" {
			t.Step, t.Label = -1, "sink.columns"
		}
		if level := r.chain.depths[next-1]; level == 0 {
			t.Value = append(t.Value, r.value...)
		} else {
			t.Value = appendObject(nil, r.chain.levels[level-1].columns, r.values[level-1])
		}
		seen = append(seen, t)
	}
	defer func() { r.trace = nil }()
	out, err := r.Apply(dst, value, slice)
	return out, seen, err
}

// traced notes of each step its place in the pipeline file, and on which level what it lets through is.
func (b *builder) traced(stepsOfFile int) (labels []string, depths []int) {
	level := 0
	for i, s := range b.steps {
		label := ""
		if i < stepsOfFile {
			label = fmt.Sprintf("process[%d]", i)
		}
		kind := ".filter"
		switch s.(type) {
		case *mapper:
			level++
			kind = ".map"
		case *transformer:
			kind = ".transform"
		}
		if label != "" {
			label += kind
		}
		labels, depths = append(labels, label), append(depths, level)
	}
	return labels, depths
}
