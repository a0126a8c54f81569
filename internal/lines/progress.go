package lines

import (
	"context"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// Progress is how far a line is.
type Progress struct {
	Done, All int64 // raw offsets: filled, and in all, as the raw topic is now
	Lag       int64 // processed records that its table lacks
	Pace            // zero where it was looked at once
	// Sinks is how fast processed records come and are written, since the processors are near the end of the raw topic;
	// before, sinks may be slower.
	Sinks Pace

	at, written sight
}

// nearEnd is how many records a line may be behind for its indexes to be added.
const nearEnd = 10_000

// near reports whether a line is near its end: with a rate, what it lacks must be filled long before the wait for it
// ends.
func (p Progress) near(rate int) bool {
	most := int64(nearEnd)
	if rate > 0 {
		most = min(most, int64(rate)*int64(barrierTimeout/2/time.Second))
	}
	return p.All-p.Done <= most && p.Lag <= nearEnd
}

// Progress tells how far the line is.
func (g *Gauge) Progress(ctx context.Context) (p Progress, err error) {
	adm := kadm.NewClient(g.cl)
	if p.at, err = g.sight(ctx); err != nil {
		return p, err
	}
	from, err := admin.Starts(ctx, adm, topics.RawOf(g.line, g.stream))
	if err != nil {
		return p, err
	}
	first := sum(from)
	p.Done, p.All = max(0, p.at.next-first), max(0, p.at.end-first)
	processed, err := admin.Ends(ctx, adm, topics.Processed(g.line.Name, g.stream))
	if err == nil {
		p.Lag, err = g.Unwritten(ctx, processed)
	}
	end := sum(processed)
	p.written = sight{p.at.at, end - p.Lag, end}
	return p, err
}

// sight sees where the line goes on, and then where the raw topic ends.
func (g *Gauge) sight(ctx context.Context) (at sight, err error) {
	next, err := g.Next(ctx)
	if err != nil {
		return at, err
	}
	to, err := g.Raw(ctx)
	return sight{time.Now(), sum(next), sum(to)}, err
}

func sum(offsets map[int32]int64) (all int64) {
	for _, offset := range offsets {
		all += offset
	}
	return all
}

// meter tells of what is seen of a line from time to time.
type meter struct {
	number uint16
	pacer  pacer
	warner warner
	told   time.Time

	sinks       pacer
	sinksWarner warner
}

// tellEvery is how often the log tells of it.
const tellEvery = 10 * time.Second

func (m *meter) look(ctx context.Context, gauge *Gauge) (Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	p, err := gauge.Progress(ctx)
	if err != nil {
		return p, err
	}
	m.pace(&p)
	return p, nil
}

func (m *meter) pace(p *Progress) {
	p.Pace = m.pacer.look(p.at)
	if p.All-p.Done > nearEnd {
		m.sinks = pacer{}
		return
	}
	p.Sinks = m.sinks.look(p.written)
}

// tell warns of a line that does not catch up, and tells the log from time to time how far it is.
func (m *meter) tell(b *Builder, p Progress, rate int) {
	if m.warner.warns(p.Pace) {
		b.Env.Log.Warn("the shadow "+p.advice(rate, b.build), "stream", b.Stream.Name, "line", m.number)
	}
	if m.sinksWarner.warns(p.Sinks) {
		b.Env.Log.Warn("the sinks of the shadow "+p.Sinks.sinksAdvice(b.build), "stream", b.Stream.Name, "line", m.number)
	}
	if time.Since(m.told) < tellEvery {
		return
	}
	m.told = time.Now()
	attrs := []any{"stream", b.Stream.Name, "line", m.number, "done", humanize.Comma(p.Done), "of", humanize.Comma(p.All),
		"records_per_second", int(p.Rate), "arriving_per_second", int(p.Arriving), "sink_lag", p.Lag}
	switch {
	case p.Never:
		attrs = append(attrs, "left", "does not catch up")
	case p.Left > 0:
		attrs = append(attrs, "left", p.Left.String())
	}
	b.Env.Log.Info("shadow", attrs...)
}
