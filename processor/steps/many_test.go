package steps

import (
	"testing"

	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
)

// twice is a step out of which two records come for one: column n of the first level is 1, then 2.
type twice struct{}

func (twice) apply(r *Runner, next int) error {
	for _, n := range []string{"1", "2"} {
		r.values[0][1] = expression.JSON([]byte(n))
		r.descend(1)
		if err := r.run(next); err != nil {
			return err
		}
	}
	return nil
}

// TestManyRows has a step give two records, and filters behind it refuse some of them.
func TestManyRows(t *testing.T) {
	for name, c := range map[string]struct {
		filter pipeline.Filter
		rows   []string
		never  bool
	}{
		"both":                    {pipeline.Filter{If: `n > 0`}, []string{`{"id":7,"n":1}`, `{"id":7,"n":2}`}, false},
		"one":                     {pipeline.Filter{If: `n > 1`}, []string{`{"id":7,"n":2}`}, false},
		"one, the other for ever": {pipeline.Filter{If: `n > 1`, Once: true}, []string{`{"id":7,"n":2}`}, false},
		"none":                    {pipeline.Filter{If: `n > 2`}, nil, false},
		"none for ever":           {pipeline.Filter{If: `n > 2`, Once: true}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			chain, err := Compile(&pipeline.Stream{Process: []pipeline.Step{
				{Map: []pipeline.Column{{Name: "id", Expr: "id"}, {Name: "n", Expr: "id"}}}, {Filter: &c.filter},
			}})
			if err != nil {
				t.Fatal(err)
			}
			chain.steps = append([]step{chain.steps[0], twice{}}, chain.steps[1:]...)
			got, err := chain.Runner().Apply(nil, []byte(`{"id":7}`), nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Rows) != len(c.rows) || got.Never != c.never {
				t.Fatalf("%d rows, never %t; want %d, %t", len(got.Rows), got.Never, len(c.rows), c.never)
			}
			for i, row := range got.Rows {
				if string(row) != c.rows[i] {
					t.Errorf("row %d: %s, want %s", i, row, c.rows[i])
				}
			}
		})
	}
}
