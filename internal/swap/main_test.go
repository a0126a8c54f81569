package swap_test

import (
	"testing"

	"github.com/millrace-io/millrace/internal/testservers"
)

func TestMain(m *testing.M) { testservers.Main(m) }
