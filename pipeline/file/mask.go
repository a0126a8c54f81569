package file

import (
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"
)

// sensitive are the keys below which a file may hold a secret in clear text. A key that is nearly one of them
// counts too: it may be a slip of the pen, which is just when the line is shown.
var sensitive = []string{"auth", "bearer", "api_key", "value", "sasl", "password", "headers", "mysql", "database", "token", "secret", "verify"}

// open are keys below sensitive ones whose values are none.
var open = []string{
	"mechanism", "username", "header", "param", "token_url", "client_id", "client_auth", "scopes", "path", "method", "field",
	"answer_header", "cookie", "expires_in", "lifetime", "prefix", "type", "hash", "encoding", "secret_encoding", "signed", "timestamp", "tolerance",
	"algorithm", "key_id", "issuer", "subject", "audience", "grant", "region", "service", "access_key",
}

// harmless are values that need not be hidden.
var harmless = []string{"embedded", "none", "~", "null"}

func isSensitive(key string) bool {
	if len(key) > 40 || slices.Contains(open, key) {
		return false
	}
	slips := 1
	if len(key) > 7 {
		slips = 2
	}
	return slices.ContainsFunc(sensitive, func(s string) bool { return levenshtein.ComputeDistance(strings.ToLower(key), s) <= slips })
}

var index = regexp.MustCompile(`\[\d+\]`)

// mayHoldSecret reports whether the value below these keys, from the top of the file, may be a secret.
func mayHoldSecret(keys []string) bool {
	if len(keys) > 1 && keys[0] == "streams" {
		keys = keys[2:] // a stream may have any name
		if len(keys) > 0 && (keys[0] == "process" || keys[0] == "sink") {
			return false
		}
	}
	return len(keys) > 0 && !slices.Contains(open, keys[len(keys)-1]) && slices.ContainsFunc(keys, isSensitive)
}

// keysOf splits the path of a place.
func keysOf(path string) []string { return strings.Split(index.ReplaceAllString(path, ""), ".") }

// masks is what must not be seen of a file when its lines are shown.
type masks struct {
	texts []string       // wherever they stand, longest first
	spans map[int][]span // by line
}

// span is a stretch of a line, in columns from 1; to is the first that is shown again.
type span struct{ from, to int }

const toEnd = 1 << 30

// minMaskedText is how long a secret must be to be hidden wherever its text stands, not only where it was found.
const minMaskedText = 5

// findMasks looks for secrets that stand in the file itself. A reference alone is none.
func findMasks(root *yaml.Node, lines []string) masks {
	m := masks{spans: map[int][]span{}}
	shown, hidden := map[*yaml.Node]bool{}, map[*yaml.Node]bool{}
	var walk func(key, n *yaml.Node, keys []string)
	walk = func(key, n *yaml.Node, keys []string) {
		hide := mayHoldSecret(keys)
		seen := shown
		if hide {
			seen = hidden
		}
		if seen[n] {
			return
		}
		seen[n] = true
		switch n.Kind {
		case yaml.AliasNode:
			walk(key, n.Alias, keys)
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(n.Content[i], n.Content[i+1], append(slices.Clip(keys), n.Content[i].Value))
			}
		case yaml.SequenceNode:
			for _, c := range n.Content {
				walk(key, c, keys)
			}
		default:
			if hide {
				m.mark(key, n, lines)
			}
		}
	}
	walk(nil, root, nil)
	slices.SortFunc(m.texts, func(a, b string) int { return len(b) - len(a) })
	return m
}

var onlyReference = regexp.MustCompile(`^\$\{[^}]*\}$`)

// mark hides a value. One that the file spells in another way, by escapes or over several lines, is hidden with the
// rest of its line and with the lines that follow, up to the next less indented one.
func (m *masks) mark(key, n *yaml.Node, lines []string) {
	if n.Anchor == "" && (onlyReference.MatchString(n.Value) || slices.Contains(harmless, n.Value)) {
		return
	}
	if n.Value != "" && n.Line <= len(lines) {
		line := []rune(lines[n.Line-1])
		if before, _, ok := strings.Cut(string(line[min(n.Column-1, len(line)):]), n.Value); ok {
			from := n.Column + len([]rune(before))
			m.hideSpan(n.Line, from, from+len([]rune(n.Value)))
			if len(n.Value) >= minMaskedText {
				m.texts = append(m.texts, n.Value)
			}
			return
		}
	}
	if key != nil && key.Line < n.Line || n.Value == "" && key != nil {
		m.hideSpan(key.Line, key.Column+len([]rune(key.Value))+1, toEnd)
	}
	m.hideSpan(n.Line, n.Column, toEnd)
	indent := func(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }
	for i := n.Line; i > 0 && i < len(lines) && n.Value != ""; i++ {
		if strings.TrimSpace(lines[i]) != "" && key != nil && indent(lines[i]) < key.Column && i > n.Line+strings.Count(n.Value, "\n") {
			break
		}
		m.hideSpan(i+1, 1, toEnd)
	}
}

func (m *masks) hideSpan(line, from, to int) {
	m.spans[line] = append(m.spans[line], span{from, to})
}

// urlSecrets are where a URL may hold credentials, wherever it stands.
var urlSecrets = regexp.MustCompile(`(://)([^/\s@"']+@)|(\?)([^\s"',}\]]+=[^\s"']*)`)

// hide blots secrets out of a line, from 1, at the same width.
func (m *masks) hide(number int, line string) string {
	for _, s := range m.spans[number] {
		r := []rune(line)
		from, to := min(s.from-1, len(r)), min(s.to-1, len(r))
		line = string(r[:from]) + blot(string(r[from:to])) + string(r[to:])
	}
	line = urlSecrets.ReplaceAllStringFunc(line, func(s string) string {
		i := strings.IndexAny(s, "/?")
		i += len(s[i:]) - len(strings.TrimLeft(s[i:], "/?"))
		return s[:i] + blot(s[i:])
	})
	for _, s := range m.texts {
		line = strings.ReplaceAll(line, s, blot(s))
	}
	return line
}

var keyOfLine = regexp.MustCompile(`^(\W*[\w-]+["']?\s*:\s*)(.*)$`)

// hideAll blots out everything behind the key of a line, for a file whose structure is not known.
func hideAll(line string) string {
	if m := keyOfLine.FindStringSubmatch(line); m != nil {
		return m[1] + blot(m[2])
	}
	return blot(line)
}

func blot(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' {
			return r
		}
		return '*'
	}, s)
}
