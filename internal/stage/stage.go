// Package stage holds what all stages do alike: what they are given, how they wait for a server and tell it, how they
// retry, drain and close, and how they check a configuration.
package stage

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Env is what a stage is given. A zero field is not allowed, except where it says so.
type Env struct {
	Instance string                // stable name of this process among its like on all hosts, for transactional ids
	Streams  []string              // names of the streams to run; nil: all
	Kafka    []kgo.Opt             // how to reach the brokers: seeds, TLS, SASL, logger, client id
	Log      *slog.Logger          // with the attribute stage set
	Metrics  prometheus.Registerer //
	Health   *Health               //
	File     string                // path of the pipeline file, for what the log tells to do next; empty: not known
}
