package steps

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
)

// expected is a field that an expression expects records to have.
type expected struct {
	label string // where it is named, as a path in the pipeline file
	path  []string
	slot  int // of the record's level
}

// expect notes the fields that a program of the record's level expects.
func (b *builder) expect(label string, p *expression.Program) {
	if b.level() > 0 {
		return
	}
	for _, path := range p.Expected() {
		if !slices.ContainsFunc(b.expects, func(e expected) bool { return slices.Equal(e.path, path) }) {
			b.expects = append(b.expects, expected{label, path, b.levels[0].scope.Slot(path)})
		}
	}
}

// fields are those that the expressions expect, and which of them some record has had. It may be used concurrently.
type fields struct {
	expected []expected
	seen     []atomic.Bool // by index of expected
	records  atomic.Int64  // that runners with unseen fields have looked at
}

// newFields leaves out those of the raw key: a record without them is a dead letter.
func newFields(b *builder, s *pipeline.Stream) *fields {
	f := &fields{}
	for _, e := range b.expects {
		key := slices.ContainsFunc(s.Ingest.Key, func(k string) bool { return slices.Equal(pipeline.PathNames(k), e.path) })
		if !key && !slices.Equal(e.path, []string{pipeline.SliceField}) {
			f.expected = append(f.expected, e)
		}
	}
	f.seen = make([]atomic.Bool, len(f.expected))
	return f
}

func (f *fields) unseen() (indexes []int) {
	for i := range f.seen {
		if !f.seen[i].Load() {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

// look notes which fields the record in hand has. After a few records there is mostly none left to look for.
func (r *Runner) look() {
	f := r.chain.fields
	f.records.Add(1)
	r.unseen = slices.DeleteFunc(r.unseen, func(i int) bool {
		if !f.seen[i].Load() && r.frames[0].Slots[f.expected[i].slot].Kind() != expression.Missing {
			f.seen[i].Store(true)
		}
		return f.seen[i].Load()
	})
}

// Unseen tells of the fields that expressions name and that none of the records so far had, one text each, and how many
// records were looked at. It may be called concurrently.
func (c *Chain) Unseen() (told []string, records int64) {
	for _, i := range c.fields.unseen() {
		e := c.fields.expected[i]
		name := pipeline.FormatPath(e.path)
		text := fmt.Sprintf("%s: no record so far has the field %s", e.label, name)
		if len(e.path) == 1 && e.label != "sink.columns."+name {
			text += fmt.Sprintf(" (a text is written in quotes: %q)", name)
		}
		told = append(told, text)
	}
	return told, c.fields.records.Load()
}
