//go:build integration

package tool

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestGrowOnRealServers is TestGrow on Kafka and MySQL.
func TestGrowOnRealServers(t *testing.T) {
	t.Parallel()
	x := newOnServers(t, "http://API")
	growUnderKills(t, patience, x.file, x.name, x.db, []kgo.Opt{kgo.SeedBrokers(x.brokers...)})
}
