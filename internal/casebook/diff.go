package casebook

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/millrace-io/millrace/internal/canonical"
)

var plainScalar = regexp.MustCompile(`^-?[A-Za-z0-9_/][A-Za-z0-9_./@+-]*( [A-Za-z0-9_./@+-]+)*$`)

// scalar is a text as YAML reads it back, also between braces.
func scalar(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n", "":
	default:
		if plainScalar.MatchString(s) {
			return s
		}
	}
	quoted, _ := json.Marshal(s)
	return strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(string(quoted))
}

// valueText is a value of a row. A decimal is written by its value: 12.3400 is 12.34.
func valueText(v *string, decimal bool) string {
	if v == nil {
		return "null"
	}
	if n, ok := canonical.NumberOf([]byte(*v)); ok && decimal {
		return string(n)
	}
	return scalar(*v)
}

// diff shows lines that are expected and did not come with -, those that came instead with +, and what is between as it
// is.
func diff(want, got []string) string {
	n, m := len(want), len(got)
	common := make([][]int, n+1) // lengths of the longest common subsequences of the tails
	for i := range common {
		common[i] = make([]int, m+1)
	}
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			if want[i] == got[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var b strings.Builder
	i, j := 0, 0
	for i < n || j < m {
		switch {
		case i < n && j < m && want[i] == got[j]:
			b.WriteString("    " + want[i] + "\n")
			i++
			j++
		case j >= m || i < n && common[i+1][j] >= common[i][j+1]:
			b.WriteString("  - " + want[i] + "\n")
			i++
		default:
			b.WriteString("  + " + got[j] + "\n")
			j++
		}
	}
	return b.String()
}
