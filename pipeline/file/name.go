package file

import (
	"fmt"
	"regexp"
)

// maxNameBytes bounds the names of pipelines and of streams. Together with the suffix of a topic and, later, a
// generation they stay well below Kafka's 249 bytes for a topic.
const maxNameBytes = 60

var goodName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

const nameHint = "a name has the letters a–z, digits, _ and -, and begins with a letter or digit"

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
