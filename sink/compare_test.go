package sink

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
)

// records are those of events, in generation 2 or more.
func (f *fixture) records(events ...event) iter.Seq2[*kgo.Record, error] {
	all := f.job(events...).polled[0].records
	f.offset -= int64(len(events))
	return func(yield func(*kgo.Record, error) bool) {
		for _, r := range all {
			r.Headers[0].Value = slices.Clone(r.Headers[0].Value)
			r.Headers[0].Value[17] = 2
			if !yield(r, nil) {
				return
			}
		}
	}
}

// compared is what records would do.
func (f *fixture) compared(columns []pipeline.ColumnType, records iter.Seq2[*kgo.Record, error]) (*Comparison, error) {
	f.t.Helper()
	p := *f.pipeline
	st := pipeline.Stream{Name: "s", Sink: things("json")}
	if columns != nil {
		st.Sink.Columns = columns
	}
	p.Streams = []pipeline.Stream{st}
	return Compare(f.t.Context(), &p, "s", records)
}

func comparisons(t *testing.T, open func(t *testing.T) *pipeline.Pipeline) {
	zero := func(v string) *string { return &v }
	t.Run("EachKindIsCounted", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.must(2, 1, 0) // an epoch that the records have to be raised by
		f.apply(
			event{1, 0, "equal", map[string]any{"n": 1, "note": "a", "extra": map[string]any{"b": 1, "a": 2}}},
			event{2, 0, "changed", map[string]any{"n": 1, "note": "a"}},
			event{3, 0, "cased", map[string]any{"note": "a"}}, event{4, 0, "removed", row(1)}, event{9, 0, "moved", row(1)},
			event{10, 0, "moved, too", row(1)}, event{2, 0, "behind", row(1)},
		)
		before := f.column("CAST(n AS CHAR)")
		got, err := f.compared(nil, f.records(
			event{1, 0, "equal", map[string]any{"n": 1, "note": "a", "extra": map[string]any{"b": 1, "a": 2}}},
			event{2, 0, "changed", map[string]any{"n": 2, "note": nil}}, event{3, 0, "cased", map[string]any{"note": "A"}},
			event{4, 0, "removed", nil}, event{5, 0, "never there", nil}, event{8, 0, "moved", row(7)}, event{9, 0, "moved, too", nil},
			event{3, 0, "behind", row(1)}, event{6, 0, "added", row(1)}, event{7, 0, "refused", map[string]any{"n": "many"}},
		))
		if err != nil {
			t.Fatal(err)
		}
		refused := got.Examples[slices.IndexFunc(got.Examples, func(e Example) bool { return e.Kind == ExampleRefused })].Reason
		want := &Comparison{
			Equal: 2, Changed: 2, Added: 1, Removed: 1, MovedOn: 2, Behind: 1, Refused: 1,
			Columns: map[string]int64{"n": 1, "note": 2}, Reasons: map[string]int64{refused: 1},
			Examples: []Example{
				{Kind: ExampleRefused, Key: "refused", Reason: refused},
				{Kind: ExampleRemoved, Key: "removed"},
				{Kind: ExampleAdded, Key: "added"},
				{Kind: ExampleChanged, Key: "cased", Column: "note", Before: zero("a"), After: zero("A")},
				{Kind: ExampleChanged, Key: "changed", Column: "n", Before: zero("1"), After: zero("2")},
				{Kind: ExampleChanged, Key: "changed", Column: "note", Before: zero("a")},
			},
		}
		slices.SortStableFunc(got.Examples, func(a, b Example) int { return strings.Compare(a.Key+a.Column, b.Key+b.Column) })
		slices.SortStableFunc(want.Examples, func(a, b Example) int { return strings.Compare(a.Key+a.Column, b.Key+b.Column) })
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if d := cmp.Diff(before, f.column("CAST(n AS CHAR)")); d != "" {
			t.Errorf("the table has changed: %s", d)
		}
		f.apply(event{11, 0, "later", row(1)}) // and nothing is in the sink's way
	})
	t.Run("ByChunks", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		var events []event
		for i := range int64(compareRecords + 7) {
			events = append(events, event{i, 0, fmt.Sprint(i), row(int(i))})
		}
		f.apply(events[:compareRecords+1]...)
		events[3].row, events[compareRecords].row = row(-1), row(-1)
		got, err := f.compared(nil, f.records(events...))
		if err != nil || got.Equal != compareRecords-1 || got.Changed != 2 || got.Added != 6 || got.Columns["n"] != 2 || len(got.Examples) != 8 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("ExamplesAreFew", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		var events []event
		for i := range int64(50) {
			events = append(events, event{i, 0, fmt.Sprint(i), map[string]any{"n": 1, "note": "x"}})
		}
		f.apply(events...)
		for i := range events {
			events[i].row = map[string]any{"n": 2, "note": fmt.Sprint(i)}
		}
		got, err := f.compared(nil, f.records(events...))
		if err != nil || got.Changed != 50 || len(got.Examples) != 2*examplesKept {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("ColumnsThatTheTableLacks", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.apply(event{1, 0, "a", row(1)})
		columns := append(slices.Clone(things("json").Columns), pipeline.ColumnType{Name: "more", Type: "int"})
		got, err := f.compared(columns, f.records(event{1, 0, "a", map[string]any{"n": 1, "more": 5}}, event{2, 0, "b", map[string]any{"more": "x"}}))
		if err != nil || !slices.Equal(got.Lacks, []string{"more"}) || got.Equal != 1 || got.Refused != 1 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("ATableThatIsNotThere", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		all := f.records(event{1, 0, "a", row(1)}, event{2, 0, "b", nil}, event{3, 0, "c", map[string]any{"n": "many"}})
		f.runs("DROP TABLE things")
		got, err := f.compared(nil, all)
		if err != nil || got.Added != 1 || got.Removed != 0 || got.Refused != 1 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("AnErrorOfTheRecordsEndsIt", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		gone := errors.New("gone")
		if _, err := f.compared(nil, func(yield func(*kgo.Record, error) bool) { yield(nil, gone) }); !errors.Is(err, gone) {
			t.Errorf("%v", err)
		}
	})
}
