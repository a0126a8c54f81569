package lines

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/internal/drive"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Work is how a process takes part in building a line.
type Work struct {
	Processor processor.Config // how it processes; Rate does not count
	Sink      sink.Config      // how it writes
	Writes    bool             // it writes too; else it relies on sinks that run
	Told      func(Progress)   // called about once a second while the line is filled; nil: nobody is told
}

// Run builds a line until it is built, by whoever, or ctx ends; then the error is ctx's. It waits for servers that are
// away. Other errors need an operator; the line stays where it is, and goes on when somebody runs it again.
func (b *Builder) Run(ctx context.Context, number uint16, w Work) error {
	for ctx.Err() == nil {
		var s *control.Stream
		if err := b.Persist(ctx, drive.Kafka, "control", func(ctx context.Context) (err error) {
			s, err = b.Decided(ctx)
			return err
		}); err != nil {
			return err
		}
		l := s.Line(number)
		switch {
		case l == nil || l.State == control.LineDropping || l.State == control.LineDropped:
			return b.refuse("line %d was dropped by another command: `%s` builds the next one", number, b.Env.Command("replay", b.Stream.Name, "--shadow"))
		case l.State == control.LineMaking:
			if err := b.make(ctx, s, l); err != nil {
				return err
			}
		case l.State == control.LineBuilding && l.BuiltAt.IsZero():
			if err := b.fill(ctx, s, *l, w); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return ctx.Err()
}

// change decides about a line, if it is still in that state.
func (b *Builder) change(ctx context.Context, number uint16, in control.LineState, f func(*control.Line)) error {
	return b.Persist(ctx, drive.Kafka, "control", func(ctx context.Context) error {
		_, err := control.Change(ctx, b.Control, b.Stream.Name, func(s *control.Stream) error {
			l := s.Line(number)
			if l == nil || l.State != in {
				return control.ErrUnchanged
			}
			f(l)
			return nil
		})
		return err
	})
}

// make makes what a line needs before stages may run it.
func (b *Builder) make(ctx context.Context, s *control.Stream, l *control.Line) error {
	line, err := Of(b.Pipeline, b.Stream.Name, s, l.Number)
	if err != nil {
		return err
	}
	if err := b.Persist(ctx, drive.Kafka, "topics", func(ctx context.Context) error {
		if err := admin.Ensure(ctx, kadm.NewClient(b.Client), topics.Specs(line)); err != nil {
			return err
		}
		return b.seed(ctx, s, line)
	}); err != nil {
		return err
	}
	var by *pipeline.Stream
	if err := b.Persist(ctx, drive.Kafka, "control", func(ctx context.Context) error {
		live, err := b.live(ctx, s)
		if err == nil {
			by, err = b.Stream.Defined(live.Definition)
		}
		return err
	}); err != nil {
		return err
	}
	db, err := sink.OpenAdmin(line)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := b.Persist(ctx, drive.Database, "table", func(ctx context.Context) error {
		return db.MakeLine(ctx, b.Stream.Name, b.Stream.Sink.Table, by)
	}); err != nil {
		return fmt.Errorf("line %d: %w; correct it and run the command again, or give it up: %s", l.Number, err, b.command("replay drop"))
	}
	return b.change(ctx, l.Number, control.LineMaking, func(l *control.Line) { l.State = control.LineBuilding })
}

// seed tells the control topic of a line in which epochs raw topics are, so that versions say the same of a raw record
// in all lines.
func (b *Builder) seed(ctx context.Context, s *control.Stream, line *pipeline.Pipeline) error {
	d, err := admin.Topic(ctx, kadm.NewClient(b.Client), topics.Processed(line.Name, b.Stream.Name))
	if err != nil {
		return err
	}
	_, err = control.Change(ctx, control.Config{Pipeline: line.Name, Who: b.Env.Instance, Client: b.Env.Kafka}, b.Stream.Name,
		func(of *control.Stream) error {
			if len(of.Epochs) > 0 || len(of.Generations) > 0 {
				return control.ErrUnchanged
			}
			for _, e := range s.Epochs {
				e.ProcessedTopicID = hex.EncodeToString(d.ID[:])
				of.Epochs = append(of.Epochs, e)
			}
			return nil
		})
	return err
}

// lookEvery is how often a process looks whether something was decided, and how far the line is.
const lookEvery = time.Second

// fill takes part until the line is built, or something else was decided about it. Then it returns nil.
func (b *Builder) fill(ctx context.Context, s *control.Stream, l control.Line, w Work) error {
	line, err := Of(b.Pipeline, b.Stream.Name, s, l.Number)
	if err != nil {
		return err
	}
	gauge, err := NewGauge(line, b.Client, b.Env)
	if err != nil {
		return err
	}
	defer gauge.Close()
	working, stop := context.WithCancel(ctx)
	defer stop()
	g, working := errgroup.WithContext(working)
	if err := b.help(working, g, line, l.Rate, w); err != nil {
		return err
	}
	g.Go(func() error {
		defer stop() // the helpers end too
		return b.watch(working, l, gauge, w.Told)
	})
	err = g.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// help runs a processor, and a sink, of the line.
func (b *Builder) help(ctx context.Context, g *errgroup.Group, line *pipeline.Pipeline, rate int, w Work) error {
	env := func(name string) stage.Env {
		env := b.Env
		// a stage of this host may have the same name
		env.Instance = "shadow-" + env.Instance
		// each attempt has counters of its own
		env.Streams, env.Metrics, env.Health = nil, prometheus.NewRegistry(), &stage.Health{}
		env.Log = env.Log.With("stage", name)
		return env
	}
	w.Processor.Rate = rate
	p, err := processor.New(line, w.Processor, env("processor"))
	if err != nil {
		return err
	}
	g.Go(func() error { return p.Run(ctx) })
	if !w.Writes {
		return nil
	}
	s, err := sink.New(line, ofRate(w.Sink, rate), env("sink"))
	if err != nil {
		return err
	}
	g.Go(func() error { return s.Run(ctx) })
	return nil
}

// watch tells how far the line is, and finishes it. It returns when it is built, or when something else was decided
// about it. Not being able to look, for a while, is no reason to stop.
func (b *Builder) watch(ctx context.Context, l control.Line, gauge *Gauge, told func(Progress)) error {
	meter := meter{number: l.Number, told: time.Now()}
	for stage.Sleep(ctx, lookEvery) == nil {
		s, err := b.Decided(ctx)
		if err != nil {
			b.Waits.On(drive.Kafka, "control", err)
			continue
		}
		b.Waits.Done(drive.Kafka, "control")
		if now := s.Line(l.Number); now == nil || now.State != l.State || now.Rate != l.Rate || !now.BuiltAt.IsZero() {
			return nil
		}
		p, err := meter.look(ctx, gauge)
		if err != nil {
			if needsOperator(err) {
				return err
			}
			b.Waits.On(drive.Kafka, "progress", err)
			continue
		}
		b.Waits.Done(drive.Kafka, "progress")
		if told != nil {
			told(p)
		}
		meter.tell(b, p, l.Rate)
		if !p.near(l.Rate) {
			continue
		}
		if err := b.finish(ctx, l, gauge); err != nil {
			return err
		}
	}
	return nil
}

// finish adds the indexes and waits until all that is in the raw topic by then is in the table.
func (b *Builder) finish(ctx context.Context, l control.Line, gauge *Gauge) error {
	var left []string
	b.Env.Log.Info("the line is filled; its indexes are added", "stream", b.Stream.Name, "line", l.Number, "table", l.Table)
	err := b.Waits.Persist(ctx, stage.Attempts{Server: drive.Database, Who: "indexes", Permanent: needsOperator}, func(ctx context.Context) (err error) {
		left, err = gauge.db.AddIndexes(ctx, b.Stream.Name, b.Stream.Sink.Table)
		return err
	})
	if err != nil || ctx.Err() != nil {
		return err
	}
	for _, text := range left {
		b.Env.Log.Warn("an index of the live table is not one of the line's", "stream", b.Stream.Name, "line", l.Number, "index", text)
	}
	var raw map[int32]int64
	if err := b.Persist(ctx, drive.Kafka, "end", func(ctx context.Context) (err error) {
		raw, err = gauge.Raw(ctx)
		return err
	}); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, barrierTimeout)
	defer cancel()
	if err := gauge.Await(waiting, raw); err != nil {
		if ctx.Err() == nil {
			b.Env.Log.Info("not built yet: the line has not caught up", "stream", b.Stream.Name, "line", l.Number, "err", err)
		}
		return nil // the watch goes on
	}
	return b.change(ctx, l.Number, control.LineBuilding, func(l *control.Line) {
		if l.BuiltAt.IsZero() {
			l.BuiltAt = time.Now().UTC().Truncate(time.Second)
		}
	})
}

// barrierTimeout is after how long it is looked again what is decided.
const barrierTimeout = time.Minute
