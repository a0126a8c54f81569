package redact

import (
	"regexp"
	"slices"
	"strings"
)

// Hidden stands where a secret was.
const Hidden = "[secret]"

// Whole is the length in bytes from which on a secret is hidden wherever it stands.
const Whole = 6

// Secrets hides some texts. It is read-only and may be used concurrently; nil hides nothing.
type Secrets struct {
	long  *strings.Replacer // nil: there is none
	short *regexp.Regexp    // nil: there is none
}

// New returns what hides these texts; empty ones are left out.
func New(texts ...string) *Secrets {
	var long, short []string
	for _, text := range texts {
		for _, s := range spellings(text) {
			if len(s) >= Whole {
				long = append(long, s)
			} else {
				short = append(short, regexp.QuoteMeta(s))
			}
		}
	}
	s := &Secrets{}
	if len(long) > 0 {
		slices.SortFunc(long, func(a, b string) int { return len(b) - len(a) }) // of those that begin alike the longest wins
		var pairs []string
		for _, text := range slices.Compact(long) {
			pairs = append(pairs, text, Hidden)
		}
		s.long = strings.NewReplacer(pairs...)
	}
	if len(short) > 0 {
		slices.SortFunc(short, func(a, b string) int { return len(b) - len(a) })
		s.short = regexp.MustCompile(`(^|["'=/]|Bearer |Basic )(?:` + strings.Join(slices.Compact(short), "|") + `)($|["'&;/?#])`)
	}
	return s
}

// Text is text without the secrets. Whoever cuts a text cuts it afterwards: half a secret is not known.
func (s *Secrets) Text(text string) string {
	if s == nil || text == "" {
		return text
	}
	if s.long != nil {
		text = s.long.Replace(text)
	}
	if s.short != nil {
		text = s.short.ReplaceAllString(text, "${1}"+Hidden+"${2}")
		text = s.short.ReplaceAllString(text, "${1}"+Hidden+"${2}") // one that ended where the next begins
	}
	return text
}
