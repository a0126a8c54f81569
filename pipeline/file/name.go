package file

import (
	"fmt"
	"regexp"
	"strings"
)

// maxNameBytes bounds the names of pipelines and of streams. Together with the suffix of a topic and, later, a
// generation they stay well below Kafka's 249 bytes for a topic.
const maxNameBytes = 60

var goodName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

const aboutNames = "a name has the letters a–z, digits, _ and -, and begins with a letter or digit"

// nameHint says what a name may be, and which one this could be.
func nameHint(s string) string {
	if strings.Contains(s, "${") {
		return aboutNames
	}
	if name := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(s), "-"), "-_"); name != s && badName(name) == "" {
		return fmt.Sprintf("%s; did you mean %q?", aboutNames, name)
	}
	return aboutNames
}

var notInNames = regexp.MustCompile(`[^a-z0-9_-]+`)

// badName says what is wrong with the name of a pipeline or stream; "": nothing.
func badName(s string) string {
	switch {
	case len(s) > maxNameBytes:
		return fmt.Sprintf("has %d bytes; %d at most", len(s), maxNameBytes)
	case !goodName.MatchString(s):
		return "is not allowed"
	}
	return ""
}
