//go:build integration

package tool

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testservers"
)

// TestDemoOnRealServers runs the demonstration on Apache Kafka and MySQL, and on each beside an embedded server; each
// twice, since a second run goes on.
func TestDemoOnRealServers(t *testing.T) {
	brokers := testservers.NewKafka(t).Brokers()
	first, second := testservers.MySQL(t), testservers.MySQL(t)
	for name, o := range map[string]demoOptions{
		"Kafka and MySQL":  {kafka: brokers, mysql: first, seed: 1},
		"MySQL":            {mysql: second, dataDir: t.TempDir(), seed: 2, noFaults: true},
		"Kafka and SQLite": {kafka: brokers, dataDir: t.TempDir(), seed: 1, noFaults: true},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
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
