package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/millrace-io/millrace/pipeline"
)

// Servers are the embedded servers of one process.
type Servers struct {
	lock   *lock   // nil: nothing is embedded
	broker *broker // nil: the pipeline has brokers of its own
}

// Start takes the lock on p.DataDir and starts what p has embedded. It fills in p.Kafka.Brokers. The broker
// listens on 127.0.0.1, at the port that it had the last time if that is free, and goes on with what DataDir holds.
// With neither server embedded it does nothing. A directory that another process uses is a *[LockedError]. The caller
// closes what Start returns, after all clients.
func Start(ctx context.Context, p *pipeline.Pipeline, log *slog.Logger) (_ *Servers, err error) {
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
	if s.broker, err = startBroker(ctx, p.DataDir, log); err != nil {
		err = fmt.Errorf("embedded Kafka broker in %s: %w", p.DataDir, err)
		return nil, errors.Join(err, s.Close())
	}
	p.Kafka.Brokers = s.broker.cluster.ListenAddrs()
	return s, nil
}

// Own reports whether what is embedded is in this process, so that no other process runs the pipeline.
func (s *Servers) Own() bool { return s.lock != nil }

// Close stops the broker, writes out what it holds, and gives the directory free. It may be called again.
func (s *Servers) Close() error {
	var err error
	if s.broker != nil {
		err = s.broker.close()
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.release())
	}
	return err
}
