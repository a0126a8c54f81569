package stage

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Notices are what a person should know although nothing waits: a setting that matched nothing, a table that does not
// follow. Each is logged once as a warning, and until it is cleared it is shown in health as degraded, and in the
// metric millrace_<stage>_notices by stream and kind. They may be used concurrently.
type Notices struct {
	stage string
	env   Env
	gauge *prometheus.GaugeVec

	mu    sync.Mutex
	texts map[string]map[string]string // by stream and kind
	known map[[2]string]string         // what was logged last, by stream and kind
}

// NewNotices returns the notices of the stage of that name. It registers their metric, so it is called once a stage.
func NewNotices(stage string, env Env) *Notices {
	return &Notices{
		stage: stage, env: env, texts: map[string]map[string]string{}, known: map[[2]string]string{},
		gauge: promauto.With(env.Metrics).NewGaugeVec(prometheus.GaugeOpts{
			Name: "millrace_" + stage + "_notices", Help: "1 for each notice that holds: the log and /readyz tell it in words.",
		}, []string{"stream", "kind"}),
	}
}

// Raise tells text, which says what, where and what to do, with attributes for the log. The same text of a stream and a
// kind is logged once, even if it was cleared meanwhile. kind is a label of few values, such as "field_not_found".
func (n *Notices) Raise(stream, kind, text string, attrs ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	of := n.texts[stream]
	if of == nil {
		of = map[string]string{}
		n.texts[stream] = of
	}
	if of[kind] == text {
		return
	}
	of[kind] = text
	n.gauge.WithLabelValues(stream, kind).Set(1)
	if id := [2]string{stream, kind}; n.known[id] != text {
		n.known[id] = text
		n.env.Log.Warn(text, append([]any{"stream", stream}, attrs...)...)
	}
	n.tell(stream)
}

// Clear says that a notice holds no more. It may be called where there is none.
func (n *Notices) Clear(stream, kind string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.texts[stream][kind]; !ok {
		return
	}
	delete(n.texts[stream], kind)
	n.gauge.DeleteLabelValues(stream, kind)
	n.tell(stream)
}

// Has reports whether a notice holds.
func (n *Notices) Has(stream, kind string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.texts[stream][kind]
	return ok
}

func (n *Notices) tell(stream string) {
	who := n.stage + " " + stream
	of := n.texts[stream]
	if len(of) == 0 {
		n.env.Health.Restore(who)
		return
	}
	all := make([]string, 0, len(of))
	for _, kind := range slices.Sorted(maps.Keys(of)) {
		all = append(all, of[kind])
	}
	n.env.Health.Degrade(who, strings.Join(all, "; "))
}
