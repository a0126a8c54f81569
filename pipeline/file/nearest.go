package file

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// nearest returns the word of known that s was probably meant to be, or "".
func nearest(s string, known []string) string {
	if len(s) > 64 {
		return ""
	}
	best, least := "", 1+max(1, min(3, (len([]rune(s))+2)/3))
	for _, k := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(s), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		best = within(s, known)
	}
	return best
}

// within returns the longest word of known that s only adds to, as in records_path, lowercase; or "".
func within(s string, known []string) string {
	best := ""
	for _, k := range known {
		if len(k) > 3 && len(k) > len(best) && (strings.HasPrefix(strings.ToLower(s), k) || strings.HasSuffix(strings.ToLower(s), "_"+k)) {
			best = k
		}
	}
	return best
}

// didYouMean hints at the nearest known word, else lists the known ones.
func didYouMean(s string, known []string, what string) string {
	if k := nearest(s, known); k != "" {
		return fmt.Sprintf("did you mean %q?", k)
	}
	if len(known) == 0 || len(known) > 40 {
		return ""
	}
	return fmt.Sprintf("%s: %s", what, strings.Join(known, ", "))
}
