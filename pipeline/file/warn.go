package file

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
)

// warnWords warns of names that an expression compares a field with, and that nothing else in the stream names: most
// likely they are texts without quotes.
func (d *decoder) warnWords(f *streamFile, w *flow) {
	known := map[string]int{}
	name := func(path string) { known[strings.Join(pipeline.PathNames(path), ".")]++ }
	for i := range f.Ingest.v.Key.list {
		name(f.Ingest.v.Key.list[i].s)
	}
	name(f.Ingest.v.Incremental.v.Field.s)
	name(f.Ingest.v.Version.word.s)
	name(f.Ingest.v.Version.v.Field.s)
	name(f.Ingest.v.Records.v.KeyAs.s)
	name(f.Ingest.v.Records.v.As.s)
	for _, column := range f.Sink.v.Columns.names() {
		known[column]++
	}
	texts := slices.Concat(w.texts...)
	for _, t := range texts {
		if program, err := expression.Compile(t.s); err == nil {
			for _, path := range program.Fields() {
				known[strings.Join(path, ".")]++
			}
		}
	}
	for _, t := range texts {
		if !t.ok || t.refs {
			continue
		}
		for _, word := range expression.Words(t.s) {
			if known[word.Name] > 1 {
				continue
			}
			d.warnWord(t, word)
		}
	}
}

func (d *decoder) warnWord(t *text, word expression.Word) {
	message := fmt.Sprintf("%s is compared with as a field", word.Name)
	hint := fmt.Sprintf("a text is written in quotes: %q", word.Name)
	lines, columns, _ := d.offset(t.node, word.Line, word.Column)
	d.warnings = append(d.warnings, d.problemAt(t.node, lines, columns, t.path, hint, message))
}
