//go:build integration

package tool

import (
	"database/sql"
	"fmt"
	"os"
	"testing"

	"github.com/millrace-io/millrace/internal/testservers"
)

// runTests has the tests share one Kafka and one MySQL: to start them takes longer than most tests.
func runTests(m *testing.M) { os.Exit(testservers.Run(m)) }

// onServers is a pipeline on the servers that the tests share, with a name and a schema of its own.
type onServers struct {
	name    string // of the pipeline
	file    string
	brokers []string
	db      *sql.DB
}

// newOnServers writes the file of one with the stream of [pipelineFile], and opens its schema.
func newOnServers(t *testing.T, baseURL string) onServers {
	t.Helper()
	dsn := testservers.MySQL(t)
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	x := onServers{name: testservers.Unique(t), brokers: testservers.Kafka(t), db: db}
	x.file = pipelineFile(t, baseURL, fmt.Sprintf("kafka: {brokers: [%q], partitions: 3}", x.brokers[0]), fmt.Sprintf("database: {mysql: %q}", dsn))
	rewrite(t, x.file, "pipeline: shop", "pipeline: "+x.name)
	return x
}
