//go:build integration

package tool

import (
	"bytes"
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/internal/testservers"
)

// TestDemoOnRealServers runs the demonstration on Apache Kafka and MySQL, and on each beside an embedded server; each
// twice, since a second run goes on.
func TestDemoOnRealServers(t *testing.T) {
	brokers := testservers.NewKafka(t).Brokers()
	first := testservers.NewMySQL(t).DSN()
	second := withSchema(t, first, "millrace_demo_second")
	for name, o := range map[string]demoOptions{
		"Kafka and MySQL":  {kafka: brokers, mysql: first, seed: 1},
		"MySQL":            {mysql: second, dataDir: t.TempDir(), seed: 2, noFaults: true},
		"Kafka and SQLite": {kafka: brokers, dataDir: t.TempDir(), seed: 1, noFaults: true},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				var out bytes.Buffer
				err := runDemo(ctx, o, &out)
				cancel()
				if err != nil || !strings.Contains(out.String(), "every row and every value: equal.") {
					t.Fatalf("%v\n%s", err, out.String())
				}
				if o.mysql != "" && strings.Contains(out.String(), o.mysql[:strings.Index(o.mysql, "@")]) {
					t.Errorf("the output tells the password:\n%s", out.String())
				}
			}
		})
	}
}

// withSchema creates another schema on the server of dsn and returns its DSN.
func withSchema(t *testing.T, dsn, schema string) string {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+schema); err != nil {
		t.Fatal(err)
	}
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.DBName = schema
	return cfg.FormatDSN()
}
