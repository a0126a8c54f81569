package file_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/pipeline/file"
)

var update = flag.Bool("update", false, "write the golden files again")

// environment is what ${NAME} stands for in testdata. The values are secrets: none may show up in a golden file.
var environment = map[string]string{
	"MYSQL_USER": "secret_user", "MYSQL_PASSWORD": "secret:p@ss/word", "SHOP_TOKEN": "secret-shop-token", "TOKEN": "secret-token",
	"KAFKA_USER": "kafka-user", "PARTITIONS": "12", "REGION": "eu-1", "TENANT": "secret-tenant", "EMPTY": "", "NUMBER": "777001",
	"BROKEN_DSN": "secret-no-dsn", "LINES": "secret\nlines", "EXPR": `"secret` + "\x00", "URL": "secret://secret",
}

func env(name string) (string, bool) {
	value, ok := environment[name]
	return value, ok
}

func TestGoodFiles(t *testing.T) {
	for _, path := range glob(t, "testdata/good/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			p, err := file.Parse(path, read(t, path), env)
			if err != nil {
				t.Fatalf("refused:\n%v", err)
			}
			got, err := json.MarshalIndent(p, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".json", string(got)+"\n")
		})
	}
}

func TestBadFiles(t *testing.T) {
	for _, path := range glob(t, "testdata/bad/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			p, err := file.Parse(path, read(t, path), env)
			if err == nil {
				t.Fatalf("accepted: %+v", p)
			}
			var problems file.Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("%T is no Problems: %v", err, err)
			}
			if p != nil {
				t.Error("there is a pipeline besides the error")
			}
			if strings.Contains(strings.ToLower(err.Error()), "secret") {
				t.Errorf("a secret is shown:\n%v", err)
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(string(read(t, path)), got); d != "" {
		t.Errorf("%s differs (-want +got); -update writes it again:\n%s", path, d)
	}
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: no files (%v)", pattern, err)
	}
	return paths
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
