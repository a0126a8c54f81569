package file_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/pipeline/file"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := file.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("pipeline.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("pipeline.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON is what an editor checks: the file as YAML, with times as text.
func asJSON(t *testing.T, path string) (any, error) {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(read(t, path), &v); err != nil {
		return nil, err
	}
	var plain func(any) any
	plain = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k := range v {
				v[k] = plain(v[k])
			}
		case []any:
			for i := range v {
				v[i] = plain(v[i])
			}
		case time.Time:
			return v.Format(time.RFC3339)
		}
		return v
	}
	text, err := json.Marshal(plain(v))
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

func TestSchemaAcceptsGoodFiles(t *testing.T) {
	s := compileSchema(t)
	for _, path := range glob(t, "testdata/good/*.yaml") {
		v, err := asJSON(t, path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if err := s.Validate(v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// What a single value or a single mapping shows, an editor can tell; the rest takes the loader.
func TestSchemaRefusesBadStructure(t *testing.T) {
	s := compileSchema(t)
	for _, name := range []string{
		"empty", "comment", "not-a-mapping", "unknown-keys", "missing", "no-streams", "no-values", "wrong-kinds", "ranges", "exclusive", "names",
	} {
		path := filepath.Join("testdata", "bad", name+".yaml")
		v, err := asJSON(t, path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		} else if s.Validate(v) == nil {
			t.Errorf("%s fits the schema", path)
		}
	}
}

func TestSchemaDescribesEveryKey(t *testing.T) {
	text, err := file.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	keys := 0
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(path, e)
			}
		case map[string]any:
			properties, _ := v["properties"].(map[string]any)
			for name, p := range properties {
				keys++
				if d, _ := p.(map[string]any)["description"].(string); !strings.HasSuffix(d, ".") {
					t.Errorf("%s.%s: description %q", path, name, d)
				}
			}
			for name, e := range v {
				walk(path+"."+name, e)
			}
		}
	}
	walk("", doc)
	if keys < 60 {
		t.Errorf("only %d keys were looked at", keys)
	}
}

// TestSchemaIsPublished: docs/reference has the schema of this version; -update writes it again.
func TestSchemaIsPublished(t *testing.T) {
	text, err := file.Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../../docs/reference/pipeline.schema.json", string(text))
}

// TestSchemaStandsAlone: in an editor a description is read without those of the keys around it.
func TestSchemaStandsAlone(t *testing.T) {
	for _, path := range file.Paths() {
		k, err := file.Explain(path)
		if err != nil {
			t.Fatal(err)
		}
		if words := strings.Fields(k.Doc); len(words) < 3 || words[0] == "Of" || words[0] == "For" || words[0] == "The" && len(words) < 4 {
			t.Errorf("%s: %q says too little alone", path, k.Doc)
		}
	}
}

// The sink refuses MariaDB when it connects, so no editor may offer it.
func TestSchemaOffersNoMariaDB(t *testing.T) {
	text, err := file.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.ToLower(string(text)), "mariadb") {
		t.Error("the schema offers MariaDB")
	}
}
