package mutants

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// Build builds packages of the module at root with m into the directory out, by `go build -overlay`. Without packages
// it compiles those that are edited, and keeps nothing. A mutant without edits is millrace as it is. An error says what
// the compiler says.
func (m Mutant) Build(ctx context.Context, root, out string, packages ...string) error {
	dir, err := os.MkdirTemp("", "millrace-mutant-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return err
	}
	args := []string{"build", "-overlay", overlay}
	if len(packages) > 0 {
		args = append(append(args, "-o", out+string(filepath.Separator)), packages...)
	} else {
		args = append(args, m.Packages()...)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mutant %s: %v: %w\n%s", m.Name, cmd.Args, err, text)
	}
	return nil
}

// Test runs a test in the module at root with m, by `go test -overlay`, and returns what it printed. The error says
// that it failed.
func (m Mutant) Test(ctx context.Context, root string, test RedTest) (output string, err error) {
	dir, err := os.MkdirTemp("", "millrace-mutant-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-trimpath", "-count=1", "-overlay", overlay, "-tags", test.Tags, "-run", "^"+test.Name+"$", test.Package)
	cmd.Dir = root
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// overlay writes the edited files into dir, with the file that tells the Go command which files they replace.
func (m Mutant) overlay(root, dir string) (string, error) {
	files, err := m.files(root)
	if err != nil {
		return "", err
	}
	var overlay struct {
		Replace map[string]string `json:"Replace"`
	}
	overlay.Replace = map[string]string{}
	for name, text := range files {
		copied := filepath.Join(dir, strconv.Itoa(len(overlay.Replace))+".go")
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			return "", err
		}
		overlay.Replace[filepath.Join(root, filepath.FromSlash(name))] = copied
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, b, 0o600)
}
