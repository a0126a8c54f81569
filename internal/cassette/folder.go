package cassette

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// suffix is that of an exchange's file.
const suffix = ".http"

// Write makes a folder with exchanges, in place of those that it has. Other files in it stay.
func Write(dir string, exchanges []*Exchange) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	for i, x := range exchanges {
		name := filepath.Join(dir, fmt.Sprintf("%04d%s", i+1, suffix))
		if err := os.WriteFile(name, x.Marshal(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Read reads the exchanges of a folder, in the order of the files' names.
func Read(dir string) ([]*Exchange, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []*Exchange
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		name := filepath.Join(dir, e.Name())
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		x, err := Unmarshal(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, x)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no files *%s: `millrace record` makes them", dir, suffix)
	}
	return slices.Clip(out), nil
}
