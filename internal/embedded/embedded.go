// Package embedded is the in-process Kafka broker of a pipeline that names no brokers, on kfake, and
// the directory that it shares with the SQLite file.
//
// It is for trying out, for development and for tests: one process, no replication, and no more than the page
// cache between a write and a power cut. Records, group offsets and transactions survive a restart and a kill.
package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-io/millrace/pipeline"
)

// Servers are the embedded servers of one process.
type Servers struct {
	lock    *flock.Flock
	cluster *kfake.Cluster // nil: the pipeline has brokers of its own
}

// LockedError says that another process uses the data directory.
type LockedError struct {
	Dir string
	PID int // 0: not known
}

// Error names the directory and its holder.
func (e *LockedError) Error() string {
	holder := "another process"
	if e.PID > 0 {
		holder = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("data directory %s is in use by %s; the embedded servers serve one process: stop that one, "+
		"or give this one another data_dir, or name servers with kafka.brokers and database.mysql", e.Dir, holder)
}

// Start takes the lock on p.DataDir and starts what p has embedded. It fills in p.Kafka.Brokers. A broker
// listens on a free port of 127.0.0.1 and goes on with what DataDir holds. With neither server embedded it does
// nothing. The caller closes what Start returns, after all clients.
func Start(p *pipeline.Pipeline) (*Servers, error) {
	s := &Servers{}
	if !p.Kafka.Embedded && !p.Database.Embedded {
		return s, nil
	}
	if err := os.MkdirAll(p.DataDir, 0o755); err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	if err := s.take(p.DataDir); err != nil {
		return nil, err
	}
	if !p.Kafka.Embedded {
		return s, nil
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID("millrace-embedded"),
		kfake.DataDir(filepath.Join(p.DataDir, "kafka")),
		kfake.DefaultNumPartitions(int(p.Kafka.Partitions)),
		kfake.BrokerConfigs(map[string]string{
			"log.cleaner.backoff.ms": "60000", // retention and compaction every minute; kfake's default is an hour
			"message.max.bytes":      strconv.Itoa(int(p.Kafka.MaxRecordBytes) + 1<<20),
		}),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("embedded Kafka broker in %s: %w", p.DataDir, err), s.Close())
	}
	s.cluster = cluster
	p.Kafka.Brokers = cluster.ListenAddrs()
	return s, nil
}

// take locks dir and leaves our process id in the lock's file.
func (s *Servers) take(dir string) error {
	name := filepath.Join(dir, "lock")
	s.lock = flock.New(name)
	ok, err := s.lock.TryLock()
	if err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	if !ok {
		content, _ := os.ReadFile(name)
		pid, _ := strconv.Atoi(strings.TrimSpace(string(content)))
		return &LockedError{dir, pid}
	}
	return os.WriteFile(name, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
}

// Close stops the broker, writes out what it holds, and gives the directory free.
func (s *Servers) Close() error {
	if s.cluster != nil {
		s.cluster.Close()
	}
	if s.lock == nil {
		return nil
	}
	return s.lock.Unlock()
}
