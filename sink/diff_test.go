package sink

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// differ compares the tables of both lines, so many rows at a time.
func (w *twoLines) differ(rows int, other pipeline.Sink) *Differ {
	w.t.Helper()
	p := *w.base.pipeline
	p.Streams = []pipeline.Stream{{Name: "s", Sink: things("json")}}
	line := pipeline.Stream{Name: "s", Sink: other}
	d, err := NewDiffer(w.t.Context(), [2]DiffSide{{Pipeline: &p, Of: &control.Stream{}}, {Pipeline: topics.LineOf(&p, &line, 2, "things__g2"), Of: &control.Stream{}}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(d.Close)
	d.rows = rows
	return d
}

// ranges compares all ranges.
func (w *twoLines) ranges(d *Differ) {
	w.t.Helper()
	for more := true; more; {
		var err error
		if more, err = d.Range(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *twoLines) look(d *Differ, last bool) {
	w.t.Helper()
	if err := d.Look(w.t.Context(), last); err != nil {
		w.t.Fatal(err)
	}
}

// pair has both lines apply one raw record, each as it makes it; nil is no row.
func (w *twoLines) pair(key string, base, other map[string]any) {
	w.t.Helper()
	w.base.apply(event{w.raw, 0, key, base})
	w.other.apply(event{w.raw, 0, key, other})
	w.raw++
}

func differences(t *testing.T, open func(t *testing.T) *pipeline.Pipeline) {
	note := func(text any) map[string]any { return map[string]any{"note": text} }
	t.Run("AreFoundAndNoOthers", func(t *testing.T) {
		w := newTwoLines(t, open(t))
		for i := range 40 {
			same := map[string]any{"n": i, "price": json.Number(fmt.Sprintf("%d.5", i)), "note": "Aé", "at": "2024-02-29T23:59:59Z", "extra": map[string]any{"b": i, "a": []int{1}}}
			w.pair(fmt.Sprintf("same'x.`%02d", i), same, same)
		}
		w.pair("case", note("Abc"), note("abc"))
		w.pair("space", note("a "), note("a"))
		w.pair("null", note(nil), note(""))
		w.pair("null the other way", note("x"), note(nil))
		w.pair("nulls", note(nil), note(nil))
		w.pair("json", map[string]any{"extra": map[string]any{"a": 1}, "n": 1}, map[string]any{"extra": map[string]any{"a": 2}, "n": 2})
		w.pair("only base", row(1), nil)
		w.pair("only other", nil, row(1))
		w.pair("none", nil, nil)
		for _, rows := range []int{1, 3, 10_000} {
			d := w.differ(rows, things("json"))
			w.ranges(d)
			if d.Loose() != 2 {
				t.Errorf("%d rows are loose, want those of which the other line has none", d.Loose())
			}
			w.look(d, false)
			w.look(d, false)
			want := Difference{
				Key: true, Rows: [2]int64{47, 47}, Equal: 41, Differ: 5, Only: [2]int64{1, 1}, Columns: map[string]int64{"note": 4, "extra": 1, "n": 1},
			}
			got := d.Difference
			got.Examples = nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%d rows at a time (-want +got):\n%s", rows, diff)
			}
			if d.Same() {
				t.Error("they are the same")
			}
			var keys []string
			for _, e := range d.Examples {
				keys = append(keys, e.Kind+" "+e.Key)
			}
			slices.Sort(keys)
			if want := []string{
				"differs case", "differs json", "differs json", "differs null", "differs null the other way", "differs space", "only_first only base", "only_second only other",
			}; !slices.Equal(slices.Compact(keys), slices.Compact(want)) {
				t.Errorf("examples %q", keys)
			}
		}
	})
	t.Run("ThatPassAreNone", func(t *testing.T) {
		w := newTwoLines(t, open(t))
		w.pair("late", row(1), row(1))
		w.pair("deleted", row(1), row(1))
		w.pair("lagging for long", row(1), row(1))
		w.base.apply(event{10, 0, "late", row(2)}, event{11, 0, "deleted", nil}, event{12, 0, "new", row(3)}, event{13, 0, "lagging for long", row(4)})
		d := w.differ(10_000, things("json"))
		w.ranges(d)
		if d.Loose() != 4 || d.Differ != 0 {
			t.Errorf("%d rows are loose and %d differ, want 4 that are loose", d.Loose(), d.Differ)
		}
		w.other.apply(event{10, 0, "late", row(2)}, event{11, 0, "deleted", nil}, event{12, 0, "new", row(3)}, event{13, 0, "lagging for long", row(4)})
		w.base.apply(event{14, 0, "lagging for long", row(5)})
		w.look(d, false)
		if d.Loose() != 1 {
			t.Errorf("%d rows are loose, want the one that was changed again", d.Loose())
		}
		w.base.apply(event{15, 0, "lagging for long", row(6)})
		w.look(d, true)
		if d.Moving != 1 || d.Differ != 0 || d.Only != [2]int64{} || d.Equal != 2 || d.Same() {
			t.Errorf("%+v, want one that moves and no difference", d.Difference)
		}
	})
	t.Run("ThatPassWhileOneLineOvertakesTheOther", func(t *testing.T) {
		w := newTwoLines(t, open(t))
		w.base.apply(event{10, 0, "a", row(1)}) // the other line has not come so far
		d := w.differ(10_000, things("json"))
		w.ranges(d)
		w.other.apply(event{10, 0, "a", row(1)}, event{11, 0, "a", nil}) // and now it is ahead
		w.look(d, false)
		w.base.apply(event{11, 0, "a", nil})
		w.look(d, true)
		if d.Only != [2]int64{} || d.Moving != 0 {
			t.Errorf("%+v, want no difference", d.Difference)
		}
	})
	t.Run("OfARefusedRevisionIsFound", func(t *testing.T) {
		w := newTwoLines(t, open(t))
		w.pair("a", row(1), row(1))
		w.base.apply(event{10, 0, "a", row(2)}) // of which the other line has a letter
		d := w.differ(10_000, things("json"))
		w.ranges(d)
		w.look(d, false)
		if d.Differ != 1 || d.Columns["n"] != 1 {
			t.Errorf("%+v, want one that differs", d.Difference)
		}
	})
	t.Run("WhereOneLacksColumns", func(t *testing.T) {
		w := newTwoLines(t, open(t))
		w.pair("a", row(1), row(1))
		fewer := things("json")
		fewer.Columns = append(slices.Clone(fewer.Columns[:2]), pipeline.ColumnType{Name: "more", Type: "text"})
		d := w.differ(10_000, fewer)
		w.ranges(d)
		if want := [2][]string{{"more"}, {"price", "note", "at", "extra", "on_sale"}}; !cmp.Equal(d.Lacks, want) || !d.Same() || d.Equal != 1 {
			t.Errorf("%+v, want that columns are lacking", d.Difference)
		}
	})
	t.Run("WhereTheKeysDiffer", func(t *testing.T) {
		w := newTwoLines(t, open(t))
		w.pair("a", row(1), row(7))
		w.pair("b", row(2), map[string]any{"note": "x"})
		other := things("json")
		other.Columns[0].Key, other.Columns[1].Key = false, true
		d := w.differ(10_000, other)
		if d.Key {
			t.Fatal("the keys are the same")
		}
		if err := d.Summarize(t.Context()); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(d.Summary, func(s ColumnSummary) bool { return s.Column == "n" })
		if i < 0 {
			t.Fatalf("%+v", d.Summary)
		}
		s := d.Summary[i]
		if d.Rows != [2]int64{2, 2} || s.Values != [2]int64{2, 1} || s.Distinct != [2]int64{2, 1} || *s.Max[0] != "2" || *s.Min[1] != "7" || d.Same() {
			t.Errorf("rows %v, %+v", d.Rows, s)
		}
	})
}
