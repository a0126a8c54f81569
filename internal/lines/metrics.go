package lines

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Metrics are those of lines that run, each with the label line: the name of its pipeline. It may be used concurrently.
// The zero value has none.
type Metrics struct {
	mu  sync.Mutex
	all map[string]*prometheus.Registry
}

func (m *Metrics) registry(stage, line string) prometheus.Registerer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[string]*prometheus.Registry{}
	}
	r := prometheus.NewRegistry()
	m.all[stage+" "+line] = r
	return prometheus.WrapRegistererWith(prometheus.Labels{"line": line}, r)
}

func (m *Metrics) drop(stage, line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, stage+" "+line)
}

// With returns the metrics of the process and of its lines.
func (m *Metrics) With(process prometheus.Gatherer) prometheus.Gatherer { return gatherer{process, m} }

type gatherer struct {
	process prometheus.Gatherer
	lines   *Metrics
}

// Gather is that of [prometheus.Gatherer].
func (g gatherer) Gather() ([]*dto.MetricFamily, error) {
	g.lines.mu.Lock()
	all := prometheus.Gatherers{g.process}
	for _, r := range g.lines.all {
		all = append(all, r)
	}
	g.lines.mu.Unlock()
	return all.Gather()
}
