// Package testkafka gives a test an in-process Kafka broker (kfake) on real TCP ports, with its
// records on disk, as the embedded broker has them: in memory kfake is slower and grows.
package testkafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// New starts a cluster of one broker with a data directory of the test's own and closes it when the
// test ends. It has no topics and creates none by itself. opts come last, so that they win.
func New(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	all := append([]kfake.Opt{kfake.NumBrokers(1), kfake.DataDir(t.TempDir())}, opts...)
	c, err := kfake.NewCluster(all...)
	if err != nil {
		t.Fatalf("start kfake: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// Topics creates topics with the same number of partitions and Kafka's default settings.
func Topics(t testing.TB, c *kfake.Cluster, partitions int32, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := c.CreateTopic(name, partitions, nil); err != nil {
			t.Fatalf("create topic %s: %v", name, err)
		}
	}
}

// Client returns a client of the cluster that is closed when the test ends, before the cluster is.
func Client(t testing.TB, c *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, opts...)...)
	if err != nil {
		t.Fatalf("new client: %v", err)
	}
	t.Cleanup(cl.CloseAllowingRebalance)
	return cl
}
