package tool

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/topics"
)

// TestGrowOfAQuietStream: what was written again is not waited for, though the processors commit nothing before
// something comes; and a sweep takes no row for one of an earlier raw topic.
func TestGrowOfAQuietStream(t *testing.T) {
	const partitions = 32
	cluster := testkafka.New(t)
	path := pipelineFile(t, "http://API", fmt.Sprintf("kafka: {brokers: [%q], partitions: 3}", cluster.ListenAddrs()[0]))
	db, err := sql.Open("sqlite", "file:"+filepath.Join(filepath.Dir(path), "data", "millrace.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	g := &growing{
		t: t, within: patience, api: newExchange(t), path: path, db: db, opts: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)},
	}
	rewrite(t, path, "http://API", g.api.URL)
	rewrite(t, path, "every: 100ms}", "every: 100ms, deletes: {when: gone}}\n    process: [{map: {id: id, total: total}}]")
	alone := aloneIn(t, partitions)
	g.api.change(alone, true) // nothing of its partition comes again
	g.start()
	g.awaitRows(-1)
	g.say(cli.ExitOK, "", "topics", "grow", path, "--partitions", fmt.Sprint(partitions), "--yes")
	g.run.send(t, syscall.SIGTERM)
	g.run.exit(t)
	rewrite(t, path, "partitions: 3", fmt.Sprint("partitions: ", partitions))

	g.say(cli.ExitOK, "", "run", path, "--once", "--listen", "")
	_, stdout, _ := invoke(t, "millrace", "topics", "list", path, "--output", "json")
	var listed []listedTopic
	if err := json.Unmarshal([]byte(stdout), &listed); err != nil {
		t.Fatalf("%s: %v", stdout, err)
	}
	for _, l := range listed {
		if l.Lag["processor"] != 0 || l.Lag["sink"] != 0 {
			t.Errorf("%s: lag %v", l.Topic, l.Lag)
		}
	}

	rewrite(t, path, "total: total}", "total: total + 0 / (id - 7)}") // the row of this order stays as it is
	g.api.forget(alone)
	g.start()
	g.say(cli.ExitOK, "are deleted", "reset", path, "orders", "--all", "--yes", "--ignore-letters")
	g.awaitRows(-1)
	g.run.send(t, syscall.SIGTERM)
	g.run.exit(t)
}

// aloneIn is an order that has a partition for itself, of so many.
func aloneIn(t *testing.T, partitions int32) int {
	t.Helper()
	of := map[int32][]int{}
	for id := range exchangeOrders {
		n := topics.Partition(fmt.Append(nil, id), partitions)
		of[n] = append(of[n], id)
	}
	for _, ids := range of {
		if len(ids) == 1 && ids[0] != refusedOrder {
			return ids[0]
		}
	}
	t.Fatal("each partition has several orders, or none")
	return 0
}
