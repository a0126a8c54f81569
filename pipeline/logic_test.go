package pipeline_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/pipeline"
)

func orders() *pipeline.Stream {
	return &pipeline.Stream{
		Name:   "orders",
		Ingest: pipeline.Ingest{Key: []string{"id"}, Path: "/orders", HTTP: pipeline.HTTP{Secrets: []pipeline.Reference{{Name: "SALT", Value: "pepper"}}}},
		Process: []pipeline.Step{
			{Filter: &pipeline.Filter{If: `status != "draft"`}},
			{Map: []pipeline.Column{{Name: "raw_id", Expr: "id"}, {Name: "cents", Expr: "cents"}}},
			{Map: []pipeline.Column{
				{Name: "order_id", Expr: "raw_id"}, {Name: "total", Expr: "cents / 100"}, {Name: "hash", Expr: `hash("pepper" + "${x}")`},
			}},
		},
		Sink: pipeline.Sink{Table: "orders", Columns: []pipeline.ColumnType{
			{Name: "order_id", Type: "bigint", Key: true}, {Name: "total", Type: "decimal(12,2)"}, {Name: "hash", Type: "text"},
		}},
	}
}

// TestLogic: what changes rows changes the fingerprints, and nothing else does.
func TestLogic(t *testing.T) {
	logic, key := orders().Logic()
	if len(logic) != 32 || len(key) != 32 || logic == key {
		t.Fatalf("fingerprints %q and %q", logic, key)
	}
	for name, x := range map[string]struct {
		change     func(s *pipeline.Stream)
		logic, key bool // they change
	}{
		"expression":                      {func(s *pipeline.Stream) { s.Process[2].Map[1].Expr = "cents / 1000" }, true, false},
		"filter":                          {func(s *pipeline.Stream) { s.Process[0].Filter.If = "true" }, true, false},
		"once":                            {func(s *pipeline.Stream) { s.Process[0].Filter.Once = true }, true, false},
		"column's type":                   {func(s *pipeline.Stream) { s.Sink.Columns[1].Type = "double" }, true, false},
		"not null":                        {func(s *pipeline.Stream) { s.Sink.Columns[1].NotNull = true }, true, false},
		"another column":                  {func(s *pipeline.Stream) { s.Sink.Columns = s.Sink.Columns[:2] }, true, false},
		"fewer steps":                     {func(s *pipeline.Stream) { s.Process = s.Process[1:] }, true, false},
		"a transform":                     {func(s *pipeline.Stream) { withTransform(s, "1") }, true, false},
		"table":                           {func(s *pipeline.Stream) { s.Sink.Table = "orders2" }, true, true},
		"raw key":                         {func(s *pipeline.Stream) { s.Ingest.Key = []string{"id", "shop"} }, true, true},
		"key column":                      {func(s *pipeline.Stream) { s.Sink.Columns[1].Key = true }, true, true},
		"key expression":                  {func(s *pipeline.Stream) { s.Process[2].Map[0].Expr = "raw_id + 1" }, true, true},
		"what the key's expression names": {func(s *pipeline.Stream) { s.Process[1].Map[0].Expr = "-id" }, true, true},

		"order of columns":         {func(s *pipeline.Stream) { slices.Reverse(s.Sink.Columns[1:]) }, false, false},
		"order in a map":           {func(s *pipeline.Stream) { slices.Reverse(s.Process[2].Map) }, false, false},
		"a key is not null anyway": {func(s *pipeline.Stream) { s.Sink.Columns[0].NotNull = true }, false, false},
		"where it is fetched":      {func(s *pipeline.Stream) { s.Ingest.Path, s.Ingest.Concurrency, s.Ingest.Version = "/v2/orders", 9, "v" }, false, false},
		"text of a secret": {func(s *pipeline.Stream) {
			s.Ingest.HTTP.Secrets = []pipeline.Reference{{Name: "SALT", Value: "other"}}
			s.Process[2].Map[2].Expr = strings.Replace(s.Process[2].Map[2].Expr, "pepper", "other", 1)
		}, false, false},
	} {
		s := orders()
		x.change(s)
		l, k := s.Logic()
		if (l != logic) != x.logic || (k != key) != x.key {
			t.Errorf("%s: logic changes %t, want %t; key changes %t, want %t", name, l != logic, x.logic, k != key, x.key)
		}
	}
}

func withTransform(s *pipeline.Stream, version string) {
	s.Process = append([]pipeline.Step{{Transform: &pipeline.Transform{Name: "distance", Version: version}}}, s.Process...)
}

// TestLogicOfTransforms: another version of a transform is another logic, of the same key; both are in the definition.
func TestLogicOfTransforms(t *testing.T) {
	one, two := orders(), orders()
	withTransform(one, "1")
	withTransform(two, "2")
	logic1, key1 := one.Logic()
	logic2, key2 := two.Logic()
	if logic1 == logic2 || key1 != key2 {
		t.Errorf("logic %s %s, key %s %s: only the logic should differ", logic1, logic2, key1, key2)
	}
	got, err := orders().Defined(two.Definition())
	if err != nil || got.Process[0].Transform.String() != "distance@2" {
		t.Errorf("%+v %v, want the transform distance@2 first", got.Process, err)
	}
}

// TestDefinition comes back as it was, and shows no secret.
func TestDefinition(t *testing.T) {
	s := orders()
	text := s.Definition()
	if strings.Contains(text, "pepper") || !strings.Contains(text, "${SALT}") {
		t.Errorf("the definition should have a reference in the place of the secret: %s", text)
	}
	// What is in control topics was written so: a field of another name would not be found.
	written := `{"Key":["id"],"Process":[{"Filter":{"If":"a","Once":true},"Map":null},{"Filter":null,"Map":[{"Name":"id","Expr":"id"}]}],` +
		`"Sink":{"Table":"t","Columns":[{"Name":"id","Type":"int","NotNull":false,"Key":true}]}}`
	if old, err := s.Defined(written); err != nil || old.Definition() != written {
		t.Errorf("%v; %s became %s", err, written, old.Definition())
	}
	rotated := orders()
	rotated.Process, rotated.Sink, rotated.Ingest.Key = nil, pipeline.Sink{}, nil
	got, err := rotated.Defined(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{cmp.Diff(s.Process, got.Process), cmp.Diff(s.Sink, got.Sink), cmp.Diff(s.Ingest.Key, got.Ingest.Key)} {
		if d != "" {
			t.Error(d)
		}
	}
	if before, _ := s.Logic(); before != first(got.Logic()) {
		t.Error("another logic")
	}
	rotated.Ingest.HTTP.Secrets = nil
	if _, err := rotated.Defined(text); err == nil || !strings.Contains(err.Error(), "${SALT}") {
		t.Errorf("%v, want an error that names the reference", err)
	}
	if _, err := s.Defined(`{"Process":[],"Explode":{}}`); err == nil {
		t.Error("what is not known was left out")
	}
}

func first(a, _ string) string { return a }
