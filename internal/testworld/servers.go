package testworld

import (
	"context"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql" // the driver
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/pipeline"
)

// OnServers returns a world with Kafka and MySQL, and with the topics of a file with that stream.
func OnServers(t testing.TB, s pipeline.Stream, partitions int32) *World {
	t.Helper()
	return OnMySQL(t, s, partitions, testservers.MySQL(t))
}

// OnMySQL is [OnServers] with that schema of MySQL.
func OnMySQL(t testing.TB, s pipeline.Stream, partitions int32, dsn string) *World {
	t.Helper()
	w := &World{
		T: t, Name: strings.ReplaceAll(testservers.Unique(t), "_", "-"), Brokers: testservers.Kafka(t), Database: pipeline.Database{MySQL: pipeline.Secret(dsn)},
		Dir: t.TempDir(), Partitions: partitions,
	}
	w.open(s, "mysql", dsn)
	t.Cleanup(w.deleteTopics) // before the client is closed
	return w
}

// deleteTopics deletes those of the pipeline and its lines: the broker has many tests.
func (w *World) deleteTopics() {
	ctx := context.WithoutCancel(w.T.Context())
	adm := kadm.NewClient(w.Client)
	found, err := adm.ListTopics(ctx)
	if err != nil {
		w.T.Errorf("topics of %s: %v", w.Name, err)
		return
	}
	for _, topic := range found.Names() {
		if strings.HasPrefix(topic, w.Name+".") {
			_, _ = adm.DeleteTopics(ctx, topic)
		}
	}
}
