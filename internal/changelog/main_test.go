package changelog_test

import (
	"testing"

	"github.com/millrace-io/millrace/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
