//go:build integration

package tool

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestGrowOnRealServers is TestGrow on Kafka and MySQL.
func TestGrowOnRealServers(t *testing.T) {
	t.Parallel()
	x := newOnServers(t, "http://API")
	growUnderKills(t, 100*time.Second, x.file, x.name, x.db, []kgo.Opt{kgo.SeedBrokers(x.brokers...)})
}
