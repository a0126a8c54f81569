package expression_test

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/expression"
)

func TestKeeps(t *testing.T) {
	for source, want := range map[string]string{
		"id": "id", "a.b": "a.b", `$env["x y"]`: "x y", "string(id)": "id", "int(a.id)": "a.id", `"order-" + id`: "id", "id + 1": "id", "10 - id": "id",
		"from_unix(at)": "at", `datetime(at)`: "at", "$slice": "$slice", `string(int(id)) + "x"`: "id",
		"lower(id)": "", "id + id": "", `a + "-" + b`: "", "trim(id)": "", "date(at)": "", "id % 2": "", "id * 0": "", "round(id)": "", "unix(at)": "",
		`id == 1 ? "a" : "b"`: "", "7": "", "$env": "", `replace(id, "-", "")`: "", "float(id)": "", "id ?? 0": "", `"x" + lower(id)`: "",
	} {
		p, err := expression.Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		path, ok := p.Keeps()
		if got := strings.Join(path, "."); got != want || ok != (want != "") {
			t.Errorf("%s tells apart the values of %q (%v), want %q", source, got, ok, want)
		}
	}
}
