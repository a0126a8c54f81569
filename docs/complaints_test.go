package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	complaintTest = regexp.MustCompile(`\[(Test\w+)\]\(\.\./([^)]+)\)`)
	complaintID   = regexp.MustCompile(`\[([\w.-]+/[\w.-]+#\d+)\]`)
)

// TestEveryComplaintHasATest: a complaint that comparison.md lists is guarded against by a test that is there, and that
// says so; and every test that says so is listed.
func TestEveryComplaintHasATest(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("comparison.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "| complaint | reported in | test |")
	if !found {
		t.Fatal("comparison.md has no table of complaints")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	listed := map[string]bool{}
	for _, row := range strings.Split(strings.TrimSpace(table), "\n")[1:] {
		ids, tests := complaintID.FindAllStringSubmatch(row, -1), complaintTest.FindAllStringSubmatch(row, -1)
		if len(ids) == 0 || len(tests) == 0 {
			t.Errorf("no issue or no test: %s", row)
		}
		for _, test := range tests {
			listed[test[1]] = true
			guards := guardsOf(t, filepath.Join("..", filepath.FromSlash(test[2])), test[1])
			for _, id := range ids {
				if !strings.Contains(guards, id[1]) {
					t.Errorf("%s: %s does not say that it guards against %s", test[2], test[1], id[1])
				}
			}
		}
	}
	files, err := filepath.Glob("../ingest/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, m := range regexp.MustCompile(`// Guards against [^\n]*\nfunc (Test\w+)`).FindAllStringSubmatch(readFile(t, file), -1) {
			if !listed[m[1]] {
				t.Errorf("%s: %s is not in comparison.md", file, m[1])
			}
		}
	}
}

// guardsOf is what a test says that it guards against.
func guardsOf(t *testing.T, file, test string) string {
	t.Helper()
	m := regexp.MustCompile(`// Guards against ([^\n]*)\nfunc ` + test + `\(t \*testing\.T\)`).FindStringSubmatch(readFile(t, file))
	if m == nil {
		t.Errorf("%s: no %s that says what it guards against", file, test)
		return ""
	}
	return m[1]
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
