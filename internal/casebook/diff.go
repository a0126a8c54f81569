package casebook

import (
	"encoding/json"
	"regexp"
	"strings"
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

func valueText(v *string) string {
	if v == nil {
		return "null"
	}
	return scalar(*v)
}

// diff shows lines that are expected and did not come with -, those that came instead with +, and what is between as it is.
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
