//go:build integration

package tool

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testservers"
)

// TestGrowOnRealServers is TestGrow on Kafka and MySQL.
func TestGrowOnRealServers(t *testing.T) {
	dsn := testservers.MySQL(t)
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	brokers := testservers.NewKafka(t).Brokers()
	path := pipelineFile(t, "http://API", fmt.Sprintf("kafka: {brokers: [%q], partitions: 3}", brokers[0]), fmt.Sprintf("database: {mysql: %q}", dsn))
	growUnderKills(t, 100*time.Second, path, db, []kgo.Opt{kgo.SeedBrokers(brokers...)})
}
