//go:build !integration

package tool

import (
	"os"
	"testing"
)

func runTests(m *testing.M) { os.Exit(m.Run()) }
