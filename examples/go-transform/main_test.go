package main

import (
	"database/sql"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

// TestMain makes the test binary the example's own, if a test asks for it.
func TestMain(m *testing.M) {
	if os.Getenv("GO_TRANSFORM") != "" {
		main()
	}
	os.Exit(m.Run())
}

func quakes(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "GO_TRANSFORM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestOwnBinary: the commands of a binary of one's own know its transform; those of another binary refuse the file.
func TestOwnBinary(t *testing.T) {
	if out := quakes(t, "test", "quakes.yaml"); !strings.HasPrefix(out, "ok ") {
		t.Error(out)
	}
	if out := quakes(t, "validate", "quakes.yaml"); !strings.Contains(out, "1 stream, ok") {
		t.Error(out)
	}
	text, err := os.ReadFile("quakes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(other, []byte(strings.Replace(string(text), "distance@1", "distance@2", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "validate", other)
	cmd.Env = append(os.Environ(), "GO_TRANSFORM=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "other.yaml:23:20: ") || !strings.Contains(string(out), "this binary has no transform distance@2; it has distance@1") {
		t.Errorf("%v %s", err, out)
	}
}

// TestRows: what the transform makes is in the table after one pass, and what it cannot read is a dead letter.
func TestRows(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("offset") != "1" {
			_, _ = io.WriteString(w, `{"features": []}`)
			return
		}
		_, _ = io.WriteString(w, `{"features": [
			{"id": "a1", "properties": {"place": "Crete", "mag": 4.1, "updated": 1}, "geometry": {"coordinates": [24.8, 35.24]}},
			{"id": "a2", "properties": {"place": "Alaska", "mag": 5.2, "updated": 1}, "geometry": {"coordinates": [-150, 61.2]}},
			{"id": "a3", "properties": {"place": "?", "mag": 5.2, "updated": 1}, "geometry": 7}]}`)
	}))
	defer api.Close()
	text, err := os.ReadFile("quakes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "quakes.yaml")
	text = []byte(strings.Replace(string(text), "https://earthquake.usgs.gov/fdsnws/event/1", api.URL, 1) + "data_dir: " + filepath.Join(dir, "data") + "\n")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out := quakes(t, "run", name, "--once", "--listen", "")
	if !strings.Contains(out, "process[0].transform") {
		t.Errorf("no word of the letter:\n%s", out)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "data", "millrace.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var rows string
	if err := db.QueryRowContext(t.Context(), "SELECT group_concat(id || ' ' || km) FROM quakes").Scan(&rows); err != nil || rows != "a1 320" {
		t.Errorf("%q %v, want a1 at 320 km", rows, err)
	}
}
