package steps_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor/steps"
	"github.com/millrace-io/millrace/transform"
)

// doubled sets twice to n, doubled, and does what a record's field do asks for.
func doubled(record []byte) ([]byte, error) {
	var r struct {
		N  int
		Do string
	}
	if err := json.Unmarshal(record, &r); err != nil {
		return nil, err
	}
	switch r.Do {
	case "drop":
		return nil, nil
	case "refuse":
		return nil, errors.New("not this one")
	case "panic":
		panic("oh")
	case "move":
		return []byte(`{"id": 9, "twice": 1}`), nil
	case "lose":
		return []byte(`{"twice": 1}`), nil
	case "array":
		return []byte(`[1]`), nil
	}
	return fmt.Appendf(nil, `{"id": 7.0, "twice": %d}`, 2*r.N), nil
}

func transformed(t *testing.T, process ...pipeline.Step) (*steps.Chain, error) {
	t.Helper()
	return steps.Compile(&pipeline.Stream{
		Name: "s", Ingest: pipeline.Ingest{Key: []string{"id"}}, Process: process,
		Sink: pipeline.Sink{Columns: []pipeline.ColumnType{{Name: "id", Type: "bigint", Key: true}, {Name: "twice", Type: "int"}}},
	})
}

func TestTransform(t *testing.T) {
	if transform.Lookup("doubled", "1") == nil {
		transform.Register("doubled", "1", doubled)
	}
	use := pipeline.Step{Transform: &pipeline.Transform{Name: "doubled", Version: "1"}}
	chain, err := transformed(t, use, pipeline.Step{Filter: &pipeline.Filter{If: "twice > 2"}})
	if err != nil {
		t.Fatal(err)
	}
	r := chain.Runner()
	for in, want := range map[string]string{
		`{"id": 7, "n": 4}`:         `{"id":7,"twice":8}`, // a number in another spelling is the same key
		`{"id": 7, "n": 1}`:         "pk [7]",
		`{"id": 7, "do": "drop"}`:   "pk [7]",
		`{"id": 7, "do": "refuse"}`: "process[0].transform: not this one",
		`{"id": 7, "do": "panic"}`:  "process[0].transform: it panics: oh",
		`{"id": 7, "do": "move"}`:   "process[0].transform: its result: it has 9 in the place of 7 as id, which is in the raw key",
		`{"id": 7, "do": "lose"}`:   "process[0].transform: its result: it has nothing in the place of 7 as id, which is in the raw key",
		`{"id": 7, "do": "array"}`:  "process[0].transform: its result: the record is not a JSON object but of type array",
	} {
		var got string
		switch out, err := r.Apply(nil, []byte(in), nil); {
		case err != nil:
			got = err.Error()
		case len(out.Rows) == 1:
			got = string(out.Rows[0])
		default:
			pk, err := r.AppendPK(nil)
			got = fmt.Sprintf("pk %s", pk)
			if err != nil || out.Never {
				t.Errorf("%s: %v, never %t", in, err, out.Never)
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if unseen, _ := chain.Unseen(); len(unseen) > 0 {
		t.Errorf("fields that the transform makes are not unseen: %v", unseen)
	}
	_, trace, err := r.Trace(nil, []byte(`{"id": 7, "n": 4}`), nil)
	if err != nil || len(trace) != 3 || trace[0].Label != "process[0].transform" || string(trace[0].Value) != `{"id": 7.0, "twice": 8}` {
		t.Errorf("%+v %v", trace, err)
	}
	if pk, err := r.AppendTombstonePK(nil, []byte("7")); err != nil || string(pk) != "[7]" {
		t.Errorf("a tombstone: %s %v", pk, err)
	}
}

func TestTransformIsNotCompiled(t *testing.T) {
	if transform.Lookup("doubled", "1") == nil {
		transform.Register("doubled", "1", doubled)
	}
	_, err := transformed(t, pipeline.Step{Transform: &pipeline.Transform{Name: "doubled", Version: "2"}})
	if err == nil || !strings.Contains(err.Error(), "process[0].transform: this binary has no transform doubled@2; it has doubled@1") {
		t.Errorf("%v", err)
	}
	_, err = transformed(t, pipeline.Step{Map: []pipeline.Column{{Name: "id", Expr: "id"}, {Name: "twice", Expr: "n"}}},
		pipeline.Step{Transform: &pipeline.Transform{Name: "doubled", Version: "1"}})
	if err == nil || !strings.Contains(err.Error(), "it stands before the first map") {
		t.Errorf("%v", err)
	}
}
