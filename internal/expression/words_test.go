package expression_test

import (
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/internal/expression"
)

func TestWords(t *testing.T) {
	for source, want := range map[string]string{
		`status != draft`: "[{draft 1 11}]",
		`a == "draft"`:    "[]",
		`a == null`:       "[]",
		`a.b == c.d`:      "[]",
		`state in [open, "new", closed] and a == 1`: "[{open 1 11} {closed 1 24}]",
		"total > 1 and\n  kind == order":            "[{order 2 11}]",
		`let x = upper(b); a == x`:                  "[]",
		`lower(a) == b`:                             "[]",
		`a == `:                                     "[]",
		`kind == refund ? -total : total`:           "[{refund 1 9}]",
	} {
		if got := fmt.Sprint(expression.Words(source)); got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
}
