package testservers

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// Unique returns a name that no other test run has had: the test's, in lower case letters, digits and _, and a
// random tail. It has at most 60 bytes and serves as a pipeline, topic, group or schema name.
func Unique(t testing.TB) string {
	t.Helper()
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(t.Name()))
	return name[:min(len(name), 45)] + "_" + strconv.FormatUint(rand.Uint64(), 36)
}
