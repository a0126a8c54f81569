package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-io/millrace/pipeline"
)

// Servers are the embedded servers of one process.
type Servers struct {
	lock    *lock          // nil: nothing is embedded
	cluster *kfake.Cluster // nil: the pipeline has brokers of its own
}

// settings of the broker. Those of topics are in their specs. kfake keeps the settings that it was first started
// with, so they are the same for every pipeline.
var settings = map[string]string{
	"log.cleaner.backoff.ms": "60000", // retention and compaction every minute; kfake's default is an hour
	// Whoever comes back to a directory after months goes on where the processor was. In minutes: ten years.
	"offsets.retention.minutes": "5256000",
}

// maxSessionTimeout is the longest that a group member may ask for, as in Kafka.
const maxSessionTimeout = 30 * time.Minute

// Start takes the lock on p.DataDir and starts what p has embedded. It fills in p.Kafka.Brokers. The broker
// listens on 127.0.0.1, at the port that it had the last time if that is free, and goes on with what DataDir holds.
// With neither server embedded it does nothing. A directory that another process uses is a *[LockedError]. The caller
// closes what Start returns, after all clients.
func Start(p *pipeline.Pipeline, log *slog.Logger) (_ *Servers, err error) {
	s := &Servers{}
	if !p.Kafka.Embedded && !p.Database.Embedded {
		return s, nil
	}
	if err := os.MkdirAll(p.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	if s.lock, err = takeLock(p.DataDir); err != nil {
		return nil, err
	}
	if !p.Kafka.Embedded {
		return s, nil
	}
	port := portFile(filepath.Join(p.DataDir, "kafka.port"))
	s.cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID("millrace-embedded"),
		kfake.DataDir(filepath.Join(p.DataDir, "kafka")),
		kfake.ListenFn(port.listen),
		kfake.GroupMaxSessionTimeout(maxSessionTimeout),
		kfake.BrokerConfigs(settings),
		kfake.WithLogger(brokerLog{log}),
	)
	if err != nil {
		err = fmt.Errorf("embedded Kafka broker in %s: %w", p.DataDir, err)
		return nil, errors.Join(err, s.Close())
	}
	p.Kafka.Brokers = s.cluster.ListenAddrs()
	if err := port.save(p.Kafka.Brokers[0]); err != nil {
		return nil, errors.Join(fmt.Errorf("data_dir: %w", err), s.Close())
	}
	return s, nil
}

// Close stops the broker, writes out what it holds, and gives the directory free. It may be called again.
func (s *Servers) Close() error {
	if s.cluster != nil {
		s.cluster.Close()
	}
	if s.lock == nil {
		return nil
	}
	return s.lock.release()
}

// brokerLog passes on what the broker could not do; requests that it refuses are the clients' to report.
type brokerLog struct{ log *slog.Logger }

// Logf is called by the broker.
func (b brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level == kfake.LogLevelError {
		b.log.Error("embedded Kafka broker: " + fmt.Sprintf(format, args...))
	}
}
