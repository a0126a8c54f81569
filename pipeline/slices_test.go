package pipeline_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/pipeline"
)

func TestSliceNames(t *testing.T) {
	one := pipeline.Ingest{Slices: &pipeline.Slices{Name: "region", Values: []string{"eu", `["x"]`}}}
	two := pipeline.Ingest{Slices: &pipeline.Slices{Name: "region", Values: []string{"eu", "us"}, Crossed: []pipeline.SliceList{{Name: "kind", Values: []string{"a", `b"c`}}}}}
	child := two
	child.ForEach = &pipeline.ForEach{Parent: "orders"}
	for name, c := range map[string]struct {
		in   pipeline.Ingest
		want []string
	}{
		"none": {pipeline.Ingest{}, []string{""}}, "one list": {one, []string{"eu", `["x"]`}},
		"two": {two, []string{`["eu","a"]`, `["eu","b\"c"]`, `["us","a"]`, `["us","b\"c"]`}}, "a child": {child, nil},
	} {
		if d := cmp.Diff(c.want, c.in.SliceNames()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	for _, c := range []struct {
		in   pipeline.Ingest
		name string
		want map[string]string
	}{
		{pipeline.Ingest{}, "", nil},
		{one, `["x"]`, map[string]string{"region": `["x"]`}},
		{two, `["us","b\"c"]`, map[string]string{"region": "us", "kind": `b"c`}},
		{two, "us", nil},
		{child, pipeline.SliceName("7", "us", "a"), map[string]string{"region": "us", "kind": "a"}},
		// of a file that had no parent
		{child, pipeline.SliceName("7", "us"), map[string]string{"region": "7", "kind": "us"}},
	} {
		if d := cmp.Diff(c.want, c.in.SliceValues(c.name)); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestParentFields(t *testing.T) {
	in := pipeline.Ingest{
		ForEach: &pipeline.ForEach{Parent: "my-orders"}, Path: "/a/{my-orders.id}/{region}/{other.id}",
		Query: map[string][]string{"q": {`{my-orders."a b".c}`, "{my-orders.x:text}", "{my-orders.a[0]}"}},
		Body:  &pipeline.Body{JSON: []byte(`{"my-orders.no": ["{my-orders.n}"]}`)},
		Add:   []pipeline.Added{{Name: "y", Text: "{my-orders.customer.id}"}},
	}
	want := map[string][]string{
		"my-orders.id": {"id"}, `my-orders."a b".c`: {"a b", "c"}, "my-orders.x": {"x"}, "my-orders.n": {"n"}, "my-orders.customer.id": {"customer", "id"},
	}
	if d := cmp.Diff(want, in.ParentFields()); d != "" {
		t.Error(d)
	}
	if in.ForEach = nil; len(in.ParentFields()) > 0 {
		t.Errorf("without a parent: %v", in.ParentFields())
	}
}

func TestAncestors(t *testing.T) {
	of := func(name, parent string) pipeline.Stream {
		s := pipeline.Stream{Name: name}
		if parent != "" {
			s.Ingest.ForEach = &pipeline.ForEach{Parent: parent}
		}
		return s
	}
	p := pipeline.Pipeline{Streams: []pipeline.Stream{of("a", ""), of("b", "a"), of("c", "b"), of("x", "y"), of("y", "x"), of("lost", "none")}}
	for name, want := range map[string][]string{"a": nil, "c": {"b", "a"}, "x": {"y"}, "lost": nil} {
		var got []string
		for _, s := range p.Ancestors(p.Stream(name)) {
			got = append(got, s.Name)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestSliceNamesHaveNoNUL: in the state topic, what follows a NUL is not the name of a slice, so that a child whose
// parent has such a key would be lost with the process.
func TestSliceNamesHaveNoNUL(t *testing.T) {
	names := map[string]bool{}
	for _, values := range [][]string{{}, {"a"}, {"a\x00kb"}, {"a\x00", "b"}, {"a", "\x00b"}} {
		name := pipeline.SliceName(values...)
		if strings.ContainsRune(name, 0) || names[name] {
			t.Errorf("%q: %q", values, name)
		}
		names[name] = true
	}
}
