package plan_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/processor/plan"
)

// uses are the expressions of a step, each by the dotted paths that it names; $env is everything.
func uses(expressions ...string) []plan.Use {
	var out []plan.Use
	for i, text := range expressions {
		use := plan.Use{Label: fmt.Sprint("expression ", i)}
		for path := range strings.FieldsSeq(text) {
			var fields []string
			if path != "$env" {
				fields = strings.Split(path, ".")
			}
			use.Fields = append(use.Fields, fields)
		}
		out = append(out, use)
	}
	return out
}

// sources are where a column of the last level comes from.
func sources(p *plan.Plan, column string) string {
	var out []string
	for _, o := range p.Last().Sources[p.Last().Column(column)] {
		out = append(out, fmt.Sprintf("%s(%d.%d)", strings.Join(o.Path, "."), o.At.Step, o.At.Use))
	}
	return strings.Join(out, " ")
}

func TestSourcesAndNeeded(t *testing.T) {
	p, problems := plan.New([]plan.Step{
		{Uses: uses("x.y")},
		{Uses: uses("a.b", "c a", ""), Makes: []string{"k", "l", "m"}},
		{Uses: uses("l")},
		{Uses: uses("l.deep k", "$env", "m"), Makes: []string{"id", "all", "none"}},
	})
	if problems != nil {
		t.Fatal(problems)
	}
	for column, want := range map[string]string{
		"id": "c(1.1) a(1.1) a.b(1.0)", "all": "a.b(1.0) c(1.1) a(1.1)", "none": "",
	} {
		if got := sources(p, column); got != want {
			t.Errorf("%s comes from %q, want %q", column, got, want)
		}
	}
	for column, want := range map[int]string{0: "[[] [1 0] [0]]", 1: "[[] [0 1 2] [1]]", 2: "[[] [2] [2]]"} {
		if got := fmt.Sprint(p.Needed([]int{column})); got != want {
			t.Errorf("column %d needs %s, want %s", column, got, want)
		}
	}
}

func TestUnknownNames(t *testing.T) {
	_, problems := plan.New([]plan.Step{
		{Uses: uses("anything", ""), Makes: []string{"a", "b"}},
		{Uses: uses("a c.d")},
		{Uses: uses("b", "e f"), Makes: []string{"g", "h"}},
		{Uses: uses("a")},
	})
	var got []string
	for _, p := range problems {
		var unknown *plan.UnknownError
		if !errors.As(p, &unknown) {
			t.Fatalf("%v is a %T", p, p.Err)
		}
		got = append(got, fmt.Sprint(p.At, p.Label, unknown.Name, unknown.Known))
	}
	want := "{1 0}expression 0c[a b]; {2 1}expression 1e[a b]; {2 1}expression 1f[a b]; {3 0}expression 0a[g h]"
	if strings.Join(got, "; ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, "; "), want)
	}
}
