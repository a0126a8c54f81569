package expression_test

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/expression"
)

func TestExpectedFields(t *testing.T) {
	for source, want := range map[string]string{
		"status != draft":                                "status draft",
		"lower(customer.email)":                          "customer.email",
		"not has(pull_request)":                          "",
		"not (deleted ?? false) and n > 0":               "n",
		"closed_at == null ? null : datetime(closed_at)": "",
		`null != a.b ? a.b : c`:                          "c",
		`join(map(labels, .name), ",")`:                  "labels",
		`(nick ?? name) + "x"`:                           "name",
		"$env":                                           "", "$slice": "$slice",
	} {
		p, err := expression.Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, path := range p.Expected() {
			got = append(got, strings.Join(path, "."))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s expects %q, want %q", source, got, want)
		}
	}
}
