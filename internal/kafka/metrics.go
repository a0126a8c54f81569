package kafka

import (
	"errors"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// metrics counts what all clients of a process do on the wire. (The plug-in kprom registers its collectors once for
// each client, so that the second client of a registry panics.)
type metrics struct {
	connects, connectErrors, read, written prometheus.Counter
}

var (
	_ kgo.HookBrokerConnect = (*metrics)(nil)
	_ kgo.HookBrokerRead    = (*metrics)(nil)
	_ kgo.HookBrokerWrite   = (*metrics)(nil)
)

// newMetrics registers the counters, or finds them registered by an earlier call.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	var errs []error
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_kafka_" + name, Help: help})
		err := reg.Register(c)
		if there, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
			if earlier, ok := there.ExistingCollector.(prometheus.Counter); ok {
				return earlier
			}
		}
		errs = append(errs, err)
		return c
	}
	m := &metrics{
		connects:      counter("connects_total", "Connections opened to brokers."),
		connectErrors: counter("connect_errors_total", "Connections to brokers that could not be opened."),
		read:          counter("read_bytes_total", "Bytes read from brokers."),
		written:       counter("written_bytes_total", "Bytes written to brokers."),
	}
	return m, errors.Join(errs...)
}

// OnBrokerConnect is called by the clients.
func (m *metrics) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		m.connectErrors.Inc()
		return
	}
	m.connects.Inc()
}

// OnBrokerRead is called by the clients.
func (m *metrics) OnBrokerRead(_ kgo.BrokerMetadata, _ int16, n int, _, _ time.Duration, _ error) {
	m.read.Add(float64(n))
}

// OnBrokerWrite is called by the clients.
func (m *metrics) OnBrokerWrite(_ kgo.BrokerMetadata, _ int16, n int, _, _ time.Duration, _ error) {
	m.written.Add(float64(n))
}
