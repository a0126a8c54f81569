package pipeline

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// sensitive are the keys below which a file may hold a secret in clear text. A key that is nearly one of them
// counts too: it may be a slip of the pen, which is just when the line is shown.
var sensitive = []string{"auth", "bearer", "api_key", "value", "sasl", "password", "headers", "mysql", "database", "token", "secret"}

// secretTexts lists the secrets that a file holds in clear text, longest first. Whatever is not a reference alone
// counts as one.
func secretTexts(n *yaml.Node) []string {
	var found []string
	seen := map[*yaml.Node]bool{}
	var walk func(n *yaml.Node, hidden bool)
	walk = func(n *yaml.Node, hidden bool) {
		if n.Kind == yaml.AliasNode || seen[n] && !hidden {
			return // what an alias stands for is met where it stands
		}
		seen[n] = true
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				key := n.Content[i]
				walk(n.Content[i+1], hidden || isSensitive(key.Value))
			}
		case yaml.ScalarNode:
			if hidden && !onlyReference.MatchString(n.Value) && !slices.Contains(harmless, n.Value) {
				for _, line := range strings.Split(n.Value, "\n") {
					if line = strings.TrimSpace(line); line != "" {
						found = append(found, line)
					}
				}
			}
		default:
			for _, c := range n.Content {
				walk(c, hidden)
			}
		}
	}
	walk(n, false)
	slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) })
	return found
}

var onlyReference = regexp.MustCompile(`^\$\{[^}]*\}$`)

// harmless are values that a sensitive key may have and that need not be hidden.
var harmless = []string{"embedded", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

func isSensitive(key string) bool {
	return len(key) < 40 && nearest(key, sensitive) != ""
}

var sensitiveLine = regexp.MustCompile(`^(\W*[\w-]+["']?\s*:\s*)(.*)$`)

// urlSecrets are where a URL may hold credentials, wherever it stands.
var urlSecrets = regexp.MustCompile(`(://)([^/\s@"']+@)|(\?)([^\s"',}\]]+=[^\s"']*)`)

// hide blots secrets out of a line, at the same width.
func hide(line string, secrets []string) string {
	line = urlSecrets.ReplaceAllStringFunc(line, func(m string) string {
		i := strings.IndexAny(m, "/?")
		i += len(m[i:]) - len(strings.TrimLeft(m[i:], "/?"))
		return m[:i] + strings.Repeat("*", len([]rune(m[i:])))
	})
	for _, s := range secrets {
		line = strings.ReplaceAll(line, s, strings.Repeat("*", len([]rune(s))))
	}
	return line
}

// hideAll blots out everything behind the key of a line, for a file whose structure is not known.
func hideAll(line string) string {
	m := sensitiveLine.FindStringSubmatch(line)
	if m == nil {
		return strings.Repeat("*", len([]rune(line)))
	}
	return m[1] + strings.Repeat("*", len([]rune(m[2])))
}
