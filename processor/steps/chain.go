package steps

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor/plan"
)

// Chain is the compiled steps of a stream. It is read-only and may be used concurrently; the work is done by
// its runners, one for each goroutine.
type Chain struct {
	steps  []step
	levels []level // by steps that make columns; the columns of the last one are the table's
	key    key
	fields *fields
	labels []string // by step; empty: it is none of the file
	depths []int    // by step: the level that it passes a record on at
	slice  int      // slot of the record's level for the name of its slice; -1: no expression names it

	transforms bool // some step is one
}

// key is the primary key of the table.
type key struct {
	columns []int    // of the last level, in the order of the table
	names   []string // of these
	types   []columntype.Type
	raw     [][]string // paths of the fields that the raw key is made of
	fields  []*keyField
	numeric bool // all columns hold numbers
}

// Compile compiles the steps of a stream. The error joins everything that is wrong, an *[plan.Error] each.
func Compile(s *pipeline.Stream) (*Chain, error) {
	b, p, problems := build(s)
	if len(problems) > 0 {
		return nil, joined(problems)
	}
	b.connect(p)
	k, err := findKey(s, p.Last())
	if err != nil {
		return nil, err
	}
	k.fields = keyFields(s, p, b.levels[0].scope)
	for i, needed := range p.Needed(k.columns)[1:] {
		b.levels[i].needed = needed // level i makes the columns of the plan's level i+1
	}
	slice := slices.IndexFunc(b.levels[0].scope.Paths(), func(path []string) bool {
		return len(path) == 1 && path[0] == pipeline.SliceField
	})
	labels, depths := b.traced(len(s.Process))
	transforms := slices.ContainsFunc(s.Process, func(x pipeline.Step) bool { return x.Transform != nil })
	return &Chain{b.steps, b.levels, k, newFields(b, s), labels, depths, slice, transforms}, nil
}

func findKey(s *pipeline.Stream, last *plan.Level) (key, error) {
	k := key{numeric: true}
	for _, path := range s.Ingest.Key {
		k.raw = append(k.raw, pipeline.PathNames(path))
	}
	for _, c := range s.Sink.KeyColumns() {
		i := last.Column(c.Name)
		if i < 0 {
			return k, fmt.Errorf("process: no map step makes the key column %s", c.Name)
		}
		k.columns, k.names = append(k.columns, i), append(k.names, c.Name)
		k.types = append(k.types, columntype.Of(c.Type))
		k.numeric = k.numeric && columntype.Of(c.Type).Kind().Numeric()
	}
	return k, nil
}
