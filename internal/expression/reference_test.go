package expression_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/expression"
)

// evaluate returns the JSON that a program gives for a record, "missing", or "error: " and why.
func evaluate(t testing.TB, source, record string) string {
	t.Helper()
	s := expression.NewScope()
	p, err := s.Compile(source)
	if err != nil {
		return "does not compile: " + err.Error()
	}
	f := s.NewFrame()
	if err := s.NewExtractor().Extract(f, []byte(record)); err != nil {
		t.Fatal(err)
	}
	v, err := p.Eval(f)
	switch {
	case err != nil:
		return "error: " + strings.TrimPrefix(err.Error(), source+": ")
	case v.Kind() == expression.Missing:
		return "missing"
	}
	return string(v.AppendJSON(nil))
}

var (
	recordBlock = regexp.MustCompile("(?s)```json\n(.*?)```")
	lineExample = regexp.MustCompile(`(?m)^(\S.*?)\s+→ (.*)$`)
	rowExample  = regexp.MustCompile("(?m)^\\| `.*\\| `([^|]*)` \\| `([^|]*)` \\|$")
)

// TestReference runs every example of the reference.
func TestReference(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/expressions.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	record := recordBlock.FindStringSubmatch(text)[1]
	examples := append(lineExample.FindAllStringSubmatch(text, -1), rowExample.FindAllStringSubmatch(text, -1)...)
	if len(examples) < 90 {
		t.Errorf("only %d examples were found", len(examples))
	}
	for _, e := range examples {
		if got := evaluate(t, e[1], record); got != strings.TrimSpace(e[2]) {
			t.Errorf("%s → %s; the reference says %s", e[1], got, e[2])
		}
	}
	for _, name := range expression.Functions() {
		if !strings.Contains(text, name+"(") {
			t.Errorf("the function %s is not in the reference", name)
		}
	}
}
