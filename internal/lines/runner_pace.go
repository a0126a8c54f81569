package lines

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
)

// gaugeEvery is how often processors look whether a line with a rate catches up.
const gaugeEvery = 5 * time.Second

// gauge warns, in the log and in health, of a line that does not catch up with its rate. The command that builds it may
// run elsewhere, or not run any more.
func (r *Runner) gauge(ctx context.Context, w wanted, health *stage.Health) {
	const who = "pace"
	cl, err := kgo.NewClient(r.env.Kafka...)
	if err != nil {
		return // the stage has told
	}
	defer cl.Close()
	g := newGauge(w.line, cl, r.env)
	defer g.Close()
	var pacer pacer
	var warner warner
	for stage.Sleep(ctx, gaugeEvery) == nil {
		looking, cancel := context.WithTimeout(ctx, 20*time.Second)
		at, err := g.sight(looking)
		cancel()
		if err != nil {
			// the line tells what it waits for
			r.env.Log.Debug("not known whether a line catches up", "stream", w.stream, "line", w.number, "err", err)
			continue
		}
		p := pacer.look(at)
		if !p.Never {
			health.Restore(who)
		}
		if warner.warns(p) {
			text := "the shadow " + p.advice(w.rate, func(flags ...string) string { return buildCommand(r.env, w.stream, flags...) })
			r.env.Log.Warn(text, "stream", w.stream, "line", w.number)
			health.Degrade(who, text)
		}
	}
}
