package steps_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor/steps"
)

// stepsFile is a case's steps.yaml: the parts of a stream that matter here, in the pipeline file's words.
type stepsFile struct {
	Key     []string            `yaml:"key"`
	Process []stepFile          `yaml:"process"`
	Columns []map[string]string `yaml:"columns"` // in order; a type that ends in " key" is a key column's
}

type stepFile struct {
	Filter string              `yaml:"filter"`
	Once   bool                `yaml:"once"`
	Map    []map[string]string `yaml:"map"` // in order
}

func (f stepsFile) stream() *pipeline.Stream {
	s := &pipeline.Stream{Name: "s", Ingest: pipeline.Ingest{Key: f.Key}}
	for _, step := range f.Process {
		var out pipeline.Step
		if step.Filter != "" {
			out.Filter = &pipeline.Filter{If: step.Filter, Once: step.Once}
		}
		for _, column := range step.Map {
			for name, expr := range column {
				out.Map = append(out.Map, pipeline.Column{Name: name, Expr: expr})
			}
		}
		s.Process = append(s.Process, out)
	}
	for _, column := range f.Columns {
		for name, typ := range column {
			t, key := strings.CutSuffix(typ, " key")
			s.Sink.Columns = append(s.Sink.Columns, pipeline.ColumnType{Name: name, Type: t, Key: key, NotNull: key})
		}
	}
	return s
}

// result is one line of want.json: what a line of in.json becomes. A line of in.json is a record; or
// a string, which is the raw key of a tombstone.
type result struct {
	Value   json.RawMessage `json:"value,omitempty"`
	PK      json.RawMessage `json:"pk,omitempty"`
	Nothing bool            `json:"nothing,omitempty"`
	Step    string          `json:"step,omitempty"`
	Reason  string          `json:"reason,omitempty"`
}

func outcome(r *steps.Runner, line []byte) (out result, err error) {
	var key string
	if line[0] == '"' {
		if err = json.Unmarshal(line, &key); err == nil {
			out.PK, err = r.AppendTombstonePK(nil, []byte(key))
		}
	} else {
		var made steps.Outcome
		made, err = r.Apply(nil, line, []byte("north"))
		switch {
		case err != nil:
		case len(made.Rows) == 1:
			out.Value = made.Rows[0]
		case made.Never:
			out.Nothing = true
		case len(made.Rows) == 0:
			out.PK, err = r.AppendPK(nil)
		default:
			err = fmt.Errorf("%d rows", len(made.Rows))
		}
	}
	if refused, ok := errors.AsType[*steps.RefusedError](err); ok {
		return result{Step: refused.Step, Reason: refused.Err.Error()}, nil
	}
	return out, err
}

// TestSteps runs the cases of testdata. UPDATE=1 writes what they should give from what they do.
func TestSteps(t *testing.T) {
	cases, err := filepath.Glob("testdata/*/steps.yaml")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, path := range cases {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var file stepsFile
			text, err := os.ReadFile(path)
			if err == nil {
				err = yaml.Unmarshal(text, &file)
			}
			if err != nil {
				t.Fatal(err)
			}
			chain, err := steps.Compile(file.stream())
			if err != nil {
				t.Fatal(err)
			}
			in, err := os.ReadFile(filepath.Join(dir, "in.json"))
			if err != nil {
				t.Fatal(err)
			}
			runner := chain.Runner()
			var got bytes.Buffer
			encoder := json.NewEncoder(&got)
			encoder.SetEscapeHTML(false)
			for line := range bytes.Lines(in) {
				r, err := outcome(runner, bytes.TrimSpace(line))
				if err == nil {
					err = encoder.Encode(r)
				}
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
			}
			golden := filepath.Join(dir, "want.json")
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			gotLines, wantLines, inLines := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n"), strings.Split(string(in), "\n")
			if len(gotLines) != len(wantLines) {
				t.Fatalf("%d lines, want %d", len(gotLines), len(wantLines))
			}
			for i := range gotLines {
				if gotLines[i] != wantLines[i] {
					t.Errorf("%s\nbecame %s\nwant   %s", inLines[i], gotLines[i], wantLines[i])
				}
			}
		})
	}
}

func TestStepsThatDoNotCompile(t *testing.T) {
	for want, file := range map[string]stepsFile{
		"process[0].filter: column 8: unexpected token":       {Process: []stepFile{{Filter: "status = 1"}}},
		"process[0].map.a: column 1: there is no function lo": {Process: []stepFile{{Map: []map[string]string{{"a": "lo(x)"}}}}},
		"process[1].filter: the map step before it makes no column b": {
			Process: []stepFile{{Map: []map[string]string{{"a": "x"}}}, {Filter: "b == 1"}}},
		"no map step makes the key column id": {
			Process: []stepFile{{Map: []map[string]string{{"a": "x"}}}}, Columns: []map[string]string{{"id": "int key"}}},
	} {
		if _, err := steps.Compile(file.stream()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
