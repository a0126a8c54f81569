package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// settings of the broker. Those of topics are in their specs. kfake keeps the settings that it was first started
// with, so they are the same for every pipeline.
var settings = map[string]string{
	"log.cleaner.backoff.ms": "60000", // retention and compaction every minute; kfake's default is an hour
	// Whoever comes back to a directory after months goes on where the processor was. In minutes: ten years.
	"offsets.retention.minutes": "5256000",
}

const (
	maxSessionTimeout = 30 * time.Minute // the longest that a group member may ask for, as in Kafka
	finishTimeout     = 10 * time.Second // what committing the offsets of a commit that was cut short may take
)

// broker is kfake on a directory.
type broker struct {
	cluster *kfake.Cluster
	commit  commitFile
	unwatch func() error
	closed  bool
}

// startBroker goes on with what dir holds: it ends the transactions that a kill left open, and finishes the commit that
// a kill cut short.
func startBroker(ctx context.Context, dir string, log *slog.Logger) (_ *broker, err error) {
	data := filepath.Join(dir, "kafka")
	b := &broker{commit: commitFile(filepath.Join(dir, "kafka.commit"))}
	last, err := b.commit.read()
	if err != nil {
		return nil, err
	}
	ended, committed, err := repair(data, last)
	if err != nil {
		return nil, err
	}
	if ended > 0 {
		log.Info("embedded Kafka broker: ended the transactions that the last process left open", "partitions", ended, "committed", committed)
	}
	port := portFile(filepath.Join(dir, "kafka.port"))
	if b.cluster, err = newCluster(data, port, log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.cluster.Close()
		}
	}()
	if committed {
		ctx, cancel := context.WithTimeout(ctx, finishTimeout)
		defer cancel()
		if err := last.finish(ctx, b.cluster.ListenAddrs()); err != nil {
			return nil, err
		}
	}
	if err := b.commit.remove(); err != nil {
		return nil, err
	}
	failed := func(err error) { log.Error("embedded Kafka broker: a transaction cannot be committed", "err", err) }
	if b.unwatch, err = b.commit.watch(b.cluster, failed); err != nil {
		return nil, err
	}
	return b, port.save(b.cluster.ListenAddrs()[0])
}

func newCluster(data string, port portFile, log *slog.Logger) (*kfake.Cluster, error) {
	return kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID("millrace-embedded"),
		kfake.DataDir(data),
		kfake.ListenFn(port.listen),
		kfake.GroupMaxSessionTimeout(maxSessionTimeout),
		kfake.BrokerConfigs(settings),
		kfake.WithLogger(brokerLog{log}),
	)
}

// close stops the broker, which writes out what it holds.
func (b *broker) close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.cluster.Close()
	return errors.Join(b.unwatch(), b.commit.remove())
}

// brokerLog passes on what the broker could not do; requests that it refuses are the clients' to report.
type brokerLog struct{ log *slog.Logger }

// Logf is called by the broker.
func (b brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level == kfake.LogLevelError {
		b.log.Error("embedded Kafka broker", "err", fmt.Sprintf(format, args...))
	}
}
