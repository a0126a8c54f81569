package tool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExamplePipelines: each example validates without its secrets, has tests that pass, asks its editor for the
// schema, and is in the list of examples.
func TestExamplePipelines(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/pipeline.yaml")
	if err != nil || len(files) < 11 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	list, err := os.ReadFile("../../examples/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		example := filepath.Base(filepath.Dir(name))
		t.Run(example, func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(text), "# yaml-language-server: $schema=../../docs/reference/pipeline.schema.json\n") {
				t.Errorf("%s has no line for the editor", name)
			}
			if !strings.Contains(string(list), "]("+example+"/pipeline.yaml)") || !strings.Contains(string(list), "examples/"+example+"/pipeline.yaml`") {
				t.Errorf("examples/README.md does not say how to run %s", example)
			}
			if code, stdout, stderr := invoke(t, "millrace", "validate", "--offline", name); code != 0 {
				t.Errorf("validate: %d\n%s%s", code, stdout, stderr)
			}
			if code, stdout, stderr := invoke(t, "millrace", "test", name); code != 0 || !strings.HasPrefix(stdout, "ok ") {
				t.Errorf("test: %d\n%s%s", code, stdout, stderr)
			}
		})
	}
}
