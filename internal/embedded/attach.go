package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace-io/millrace/pipeline"
)

// Attach reaches the embedded broker of p for a command: that of the process that runs the pipeline, if
// one does; else it starts the broker, as [Start] does. It fills in p.Kafka.Brokers. With brokers of its own p is left
// as it is. The caller closes what Attach returns.
func Attach(ctx context.Context, p *pipeline.Pipeline, log *slog.Logger) (*Servers, error) {
	if !p.Kafka.Embedded {
		return &Servers{}, nil
	}
	if _, err := os.Stat(filepath.Join(p.DataDir, "kafka")); err != nil {
		return nil, fmt.Errorf("data_dir %s holds no topics: the pipeline has not run yet, or ran from another directory", p.DataDir)
	}
	return Join(ctx, p, log)
}

// Join is [Start], or reaches what the process that runs the pipeline has started. Own tells which.
func Join(ctx context.Context, p *pipeline.Pipeline, log *slog.Logger) (*Servers, error) {
	s, err := Start(ctx, p, log)
	var locked *LockedError
	if !errors.As(err, &locked) {
		return s, err
	}
	if !p.Kafka.Embedded {
		return &Servers{}, nil
	}
	port, err := os.ReadFile(filepath.Join(p.DataDir, "kafka.port"))
	if err != nil {
		return nil, fmt.Errorf("the embedded broker of process %d: %w", locked.PID, err)
	}
	p.Kafka.Brokers = []string{net.JoinHostPort("127.0.0.1", strings.TrimSpace(string(port)))}
	return &Servers{}, nil
}
