//go:build integration && !race

package tool

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestCommandsKilledOnRealServers kills reset and recover as on the embedded ones.
func TestCommandsKilledOnRealServers(t *testing.T) {
	for name, kill := range map[string]func(*patient){"reset": (*patient).killResets, "recover": (*patient).killRecovers} {
		t.Run(name, func(t *testing.T) {
			dsn := testservers.MySQL(t)
			db, err := sql.Open("mysql", dsn)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			api := newWarehouse(t, 8)
			brokers := testservers.NewKafka(t).Brokers()
			p := &patient{t: t, api: api, db: db, path: pipelineFile(t, api.URL,
				fmt.Sprintf("kafka: {brokers: [%q], partitions: 3}", brokers[0]), fmt.Sprintf("database: {mysql: %q}", dsn))}
			p.start()
			testkit.Eventually(t, 3*time.Minute, testkit.That("the first rows", func() bool { return len(p.ids()) == 8 }))
			kill(p)
			p.quiet()
		})
	}
}
