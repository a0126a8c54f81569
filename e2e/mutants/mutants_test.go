package mutants_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/e2e/mutants"
)

// TestMutantsCompile holds the edits and the code together: each text is found once, and what comes of it compiles.
func TestMutantsCompile(t *testing.T) {
	root, err := mutants.Root()
	if err != nil {
		t.Fatal(err)
	}
	for stage, list := range map[string][]mutants.Mutant{"ingest": mutants.Ingest, "processor": mutants.Processor, "sink": mutants.Sink} {
		for _, m := range list {
			t.Run(stage+" "+m.Name, func(t *testing.T) {
				if len(m.Edits) == 0 {
					t.Error("no edits")
				}
				for _, e := range m.Edits {
					if !strings.HasPrefix(e.File, stage+"/") {
						t.Errorf("%s is not of the stage", e.File)
					}
				}
				if err := m.Build(t.Context(), root, ""); err != nil {
					t.Error(err)
				}
			})
		}
	}
	for _, m := range mutants.Redo {
		if err := m.Build(t.Context(), root, ""); err != nil || mutants.RedoTests[m.Name].Name == "" {
			t.Errorf("%s: %v, red in %+v", m, err, mutants.RedoTests[m.Name])
		}
	}
	for _, m := range mutants.Decisions {
		if err := m.Build(t.Context(), root, ""); err != nil || mutants.DecisionsTests[m.Name].Name == "" {
			t.Errorf("%s: %v, red in %v", m, err, mutants.DecisionsTests[m.Name])
		}
	}
	for _, m := range mutants.Swaps {
		if err := m.Build(t.Context(), root, ""); err != nil || mutants.SwapsTests[m.Name].Name == "" {
			t.Errorf("%s: %v, red in %v", m, err, mutants.SwapsTests[m.Name])
		}
	}
	for _, m := range mutants.Repairs {
		if err := m.Build(t.Context(), root, ""); err != nil || mutants.RepairsTests[m.Name].Name == "" {
			t.Errorf("%s: %v, red in %v", m, err, mutants.RepairsTests[m.Name])
		}
	}
}

// TestEveryMechanism: each stage has a mutant for each of its mechanisms.
func TestEveryMechanism(t *testing.T) {
	for stage, want := range map[string]struct {
		list       []mutants.Mutant
		mechanisms []string
	}{
		"ingest":    {mutants.Ingest, []string{mutants.CursorInTransaction, mutants.Fencing}},
		"processor": {mutants.Processor, []string{mutants.OffsetsInTransaction}},
		"sink":      {mutants.Sink, []string{mutants.ExpectedOffset, mutants.Fencing, mutants.Marks, mutants.RowVersions}},
	} {
		var got []string
		for _, m := range want.list {
			got = append(got, m.Name)
			if name := stage + " without " + m.Name; m.String() != name {
				t.Errorf("a mutant of %s is called %q", stage, m)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want.mechanisms) {
			t.Errorf("%s has mutants for %v, want %v", stage, got, want.mechanisms)
		}
	}
}

// TestBuild builds a program of two words with an edit, without one, and with edits that do not fit.
func TestBuild(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "go.mod"), "module example.com/hello\n\ngo 1.24\n")
	source := "package main\n\nfunc main() { print(\"here\", \"here\", word) }\n\nconst word = \"original\"\n"
	write(t, filepath.Join(root, "cmd", "hello", "main.go"), source)
	edit := func(from, to string) mutants.Edit {
		return mutants.Edit{File: "cmd/hello/main.go", Old: from, New: to}
	}

	m := mutants.Mutant{Name: "word", Edits: []mutants.Edit{edit(`"original"`, "other"), edit("const word", "const other = \"mutant\"\n\nconst word")}}
	if err := m.Build(t.Context(), root, out, "./cmd/hello"); err != nil {
		t.Fatal(err)
	}
	printed, err := exec.Command(filepath.Join(out, "hello")).CombinedOutput()
	if err != nil || string(printed) != "hereheremutant" {
		t.Errorf("the mutant prints %q, %v", printed, err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "cmd", "hello", "main.go")); err != nil || string(b) != source {
		t.Errorf("the source was changed: %s, %v", b, err)
	}
	if want := []string{"./cmd/hello"}; !slices.Equal(m.Packages(), want) {
		t.Errorf("packages %v, want %v", m.Packages(), want)
	}

	for name, bad := range map[string]struct {
		edits []mutants.Edit
		want  string
	}{
		"two places":       {[]mutants.Edit{edit(`"here"`, `"there"`)}, "2 times"},
		"no place":         {[]mutants.Edit{edit("absent", "")}, "0 times"},
		"no file":          {[]mutants.Edit{{File: "absent.go", Old: "a"}}, "absent.go"},
		"does not compile": {[]mutants.Edit{edit(`"original"`, "1 +")}, "syntax error"},
	} {
		err := mutants.Mutant{Name: name, Edits: bad.edits}.Build(t.Context(), root, out)
		if err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v, want %q", name, err, bad.want)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
