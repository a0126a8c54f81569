//go:build integration

package tool

import (
	"os"
	"testing"

	"github.com/millrace-io/millrace/internal/testservers"
)

// runTests has the tests share one MySQL server, on which each has schemas of its own: to start one takes longer than most tests.
func runTests(m *testing.M) { os.Exit(testservers.Run(m)) }
