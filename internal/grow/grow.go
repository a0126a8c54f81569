package grow

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Config says which topics, and how to reach the servers.
type Config struct {
	Pipeline *pipeline.Pipeline // all of the file; of a line, none
	To       int32              // partitions
	Control  control.Config
	Client   *kgo.Client
	Within   time.Duration // how long processors and sinks may take to do what is there
	File     string        // the pipeline file, for commands that are told; empty: FILE stands for it
	// Tell is told what is done, a line each.
	Tell func(format string, args ...any)
}

// RefusedError says why the topics cannot be given more partitions now. Nothing was changed.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return e.Why }

func refuse(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// Plan is what [Run] would do.
type Plan struct {
	From      int32 `json:"from"` // partitions
	To        int32 `json:"to"`
	Offsets   int64 `json:"offsets"`    // of raw records, and markers, that are written again
	UnderWay  bool  `json:"under_way"`  // another process has begun it
	NoneToAdd bool  `json:"none_to_do"` // the topics have as many
}

// Look says what Run would do, and changes nothing. The error is a *[RefusedError], or the brokers'.
func Look(ctx context.Context, cfg Config) (p Plan, err error) {
	p.To = cfg.To
	if err := cfg.suits(); err != nil {
		return p, err
	}
	view := control.NewView(cfg.Control)
	defer view.Close()
	if _, err := view.Refresh(ctx); err != nil {
		return p, err
	}
	raw := make([]string, 0, len(cfg.Pipeline.Streams))
	for _, s := range cfg.Pipeline.Streams {
		raw = append(raw, topics.Raw(cfg.Pipeline.Name, s.Name))
	}
	details, err := admin.Topics(ctx, kadm.NewClient(cfg.Client), raw...)
	if err != nil {
		return p, err
	}
	due := false
	for _, s := range cfg.Pipeline.Streams {
		d := details[topics.Raw(cfg.Pipeline.Name, s.Name)]
		decided := view.Stream(s.Name)
		if g := decided.Grow; g != nil {
			p.UnderWay, p.From, due = true, g.From, true
			if g.To != cfg.To {
				return p, refuse("stream %s: %v", s.Name, decided.GrowRefuses())
			}
			continue
		}
		n := max(int32(len(d.Partitions)), decided.Partitions) // a broker may not know all yet
		p.From = n
		if n == cfg.To {
			continue
		}
		due = true
		if n > cfg.To {
			return p, refuse("stream %s: its topics have %d partitions, and a topic never gets fewer", s.Name, n)
		}
		if err := keepsTime(ctx, kadm.NewClient(cfg.Client), s.Name, d.Topic); err != nil {
			return p, err
		}
		if _, err := cfg.begun(s.Name, decided, hex.EncodeToString(d.ID[:])); err != nil {
			return p, err
		}
	}
	p.NoneToAdd = !due
	return p, p.count(ctx, cfg, raw)
}

// count counts what is to be written again.
func (p *Plan) count(ctx context.Context, cfg Config, raw []string) error {
	adm := kadm.NewClient(cfg.Client)
	starts, err := adm.ListStartOffsets(ctx, raw...)
	if err != nil {
		return err
	}
	ends, err := adm.ListEndOffsets(ctx, raw...)
	if err != nil {
		return err
	}
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(o.Topic, o.Partition)
		p.Offsets += o.Offset - start.Offset
	})
	return nil
}

// suits refuses pipelines whose raw records have readers or writers that a move would disturb.
func (cfg Config) suits() error {
	if cfg.Pipeline.Kafka.Embedded {
		return refuse("the embedded broker has as many partitions as a pipeline without kafka.partitions: give it brokers, which have partitions to choose")
	}
	for _, s := range cfg.Pipeline.Streams {
		if s.Ingest.ForEach != nil {
			return refuse("stream %s is made from the records of %s, and remembers in which partition each of them was: the topics of such a pipeline "+
				"cannot be given more partitions. A pipeline with another name and more partitions fetches everything again", s.Name, s.Ingest.ForEach.Parent)
		}
		if s.Ingest.Webhook != nil {
			return refuse("stream %s is delivered by a webhook, and deliveries cannot be held back: the topics of such a pipeline cannot be given more "+
				"partitions", s.Name)
		}
	}
	return nil
}

// begun is what a grow of a stream begins with; or why it may not.
func (cfg Config) begun(name string, s *control.Stream, rawTopicID string) (*control.Grow, error) {
	env := stage.Env{File: cfg.File}
	_, known := s.Epoch(rawTopicID)
	switch {
	case s.Live == 0 || !known:
		return nil, refuse("stream %s: no processor has run it yet, so it is not known what was processed: start one: `%s`", name,
			env.Start("processor", cfg.Pipeline.Kafka.Embedded))
	case s.Redo != nil:
		return nil, refuse("stream %s: raw records are being replayed: let the replay end first, `%s`, or end it, `%s`",
			name, env.Command("replay", name), env.Command("replay abort", name))
	case s.Sweep != nil || s.Reset.UnderWay():
		return nil, refuse("stream %s: it is being reset or swept: let it end first, `%s`", name, env.Command("reset", name, "--sweep"))
	case s.LiveNumber() != control.BaseLine:
		return nil, cfg.otherLive(name, s)
	case s.Lost != nil:
		return nil, refuse("stream %s: its processors wait: %s: `%s`", name, s.Lost.Why, env.Command("recover", name))
	}
	for _, l := range s.Lines {
		if l.Number != control.BaseLine && l.State != control.LineDropped {
			return nil, refuse("stream %s: line %d is there beside the live one: swap it or drop it first, `%s`", name, l.Number,
				env.Command("replay drop", name))
		}
	}
	return &control.Grow{State: control.GrowDraining, RawTopicID: rawTopicID}, nil
}

// otherLive refuses a stream whose first line is not the live one, and says how it is again.
func (cfg Config) otherLive(name string, s *control.Stream) error {
	if s.Without() {
		return refuse("stream %s: line %d is live, and only the topics of the first line, which was dropped, could be given more partitions: "+
			"a pipeline with another name and more partitions fetches everything again", name, s.LiveNumber())
	}
	env := stage.Env{File: cfg.File}
	return refuse("stream %s: line %d is live, and only the topics of the first line can be given more partitions: make that one live again, `%s`, "+
		"and drop the other, `%s`; afterwards it can be built once more", name, s.LiveNumber(), env.Command("replay rollback", name), env.Command("replay drop", name))
}

// errElsewhere says that what was begun is not there any more.
var errElsewhere = errors.New("another process has ended it, or begun another one, meanwhile")

// grower does it. It is for one goroutine.
type grower struct {
	Config

	is  map[string]control.Stream // what is decided, by stream
	adm *kadm.Client
}

// Run gives the topics more partitions, or goes on with what another process has begun. When it returns nil, it is
// done. After any other error it is called again.
func Run(ctx context.Context, cfg Config) error {
	for {
		plan, err := Look(ctx, cfg)
		if err != nil || plan.NoneToAdd {
			return err
		}
		if err := run(ctx, cfg, plan.UnderWay); err != nil {
			return err
		}
	}
}

// run is one of them: streams that have come to the file since it was begun are the next one's.
func run(ctx context.Context, cfg Config, underWay bool) error {
	g := &grower{Config: cfg, adm: kadm.NewClient(cfg.Client)}
	if err := g.begin(ctx, underWay); err != nil || len(g.Pipeline.Streams) == 0 {
		return err
	}
	for _, step := range []struct {
		state control.GrowState
		do    func(context.Context) error
	}{{control.GrowDraining, g.drain}, {control.GrowMoving, g.move}, {control.GrowCutting, g.cut}} {
		if g.state() != step.state {
			continue
		}
		if err := step.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (g *grower) names() (out []string) {
	for _, s := range g.Pipeline.Streams {
		out = append(out, s.Name)
	}
	return out
}

// grow is what is decided about a stream's.
func (g *grower) grow(stream string) *control.Grow {
	s := g.is[stream]
	return s.Grow
}

// state is that of all streams: it changes for all at once.
func (g *grower) state() control.GrowState {
	if is := g.grow(g.Pipeline.Streams[0].Name); is != nil {
		return is.State
	}
	return ""
}

// begin decides it for all streams at once that have fewer partitions. The others are left out from then on.
func (g *grower) begin(ctx context.Context, underWay bool) (err error) {
	ids := map[string]string{}
	counts := map[string]int32{}
	for _, name := range g.names() {
		topic := topics.Raw(g.Pipeline.Name, name)
		d, err := admin.Topic(ctx, g.adm, topic)
		if err != nil {
			return err
		}
		ids[name], counts[name] = hex.EncodeToString(d.ID[:]), int32(len(d.Partitions))
	}
	g.is, err = control.ChangeAll(ctx, g.Control, g.names(), func(name string, s *control.Stream) error {
		if s.Grow != nil {
			if s.Grow.To != g.To || s.Grow.RawTopicID != ids[name] {
				return refuse("stream %s: %v", name, s.GrowRefuses())
			}
			return control.ErrUnchanged
		}
		if underWay || counts[name] >= g.To || s.Partitions >= g.To {
			return control.ErrUnchanged
		}
		begun, err := g.begun(name, s, ids[name])
		if err != nil {
			return err
		}
		begun.From, begun.To, begun.At, begun.By = counts[name], g.To, time.Now().UTC().Truncate(time.Second), g.Control.Who
		s.Grow = begun
		s.Reset.Fenced++ // owners of slices that are fenced know why
		return nil
	})
	due := *g.Pipeline
	due.Streams = slices.DeleteFunc(slices.Clone(due.Streams), func(s pipeline.Stream) bool { return g.grow(s.Name) == nil })
	g.Pipeline = &due
	return err
}

// advance decides the next step of all streams at once. to is given a copy.
func (g *grower) advance(ctx context.Context, from control.GrowState, to func(name string, s *control.Stream) error) (err error) {
	g.is, err = control.ChangeAll(ctx, g.Control, g.names(), func(name string, s *control.Stream) error {
		was := g.grow(name)
		if s.Grow == nil || !s.Grow.At.Equal(was.At) || s.Grow.RawTopicID != was.RawTopicID {
			return errElsewhere
		}
		if s.Grow.State != from {
			return control.ErrUnchanged // another process was first
		}
		return to(name, s)
	})
	return err
}

// drain ends once nothing is written to the raw topics any more, and all that is there is in the tables.
func (g *grower) drain(ctx context.Context) error {
	g.Tell("nothing is fetched any more; the processors and the sinks do what is there")
	for n := range int32(topics.StatePartitions) { // whoever claims a slice after this reads first that it is to stand
		if err := admin.FenceID(ctx, g.Client, topics.IngestTransactionalID(g.Pipeline.Name, n)); err != nil {
			return err
		}
	}
	for _, name := range g.names() {
		if err := admin.FenceID(ctx, g.Client, topics.EditTransactionalID(g.Pipeline.Name, name)); err != nil {
			return err
		}
	}
	runs := map[string]uint32{}
	if err := g.advance(ctx, control.GrowDraining, func(name string, s *control.Stream) error {
		runs[name] = s.Run.Number
		return control.ErrUnchanged
	}); err != nil || g.state() != control.GrowDraining {
		return err
	}
	first := map[string]map[int32]int64{}
	for _, name := range g.names() {
		ends, err := g.ends(ctx, topics.Raw(g.Pipeline.Name, name), g.grow(name).From)
		if err != nil {
			return err
		}
		for n := range ends {
			if n >= g.grow(name).From {
				delete(ends, n)
			}
		}
		first[name] = ends
		if err := g.await(ctx, name, ends); err != nil {
			return err
		}
	}
	return g.advance(ctx, control.GrowDraining, func(name string, s *control.Stream) error {
		if s.Run.Number != runs[name] || s.Lost != nil {
			return fmt.Errorf("stream %s: its processors lost their positions, or others were declared, meanwhile: run `%s`, and then "+
				"this command again", name, stage.Env{File: g.File}.Command("recover", name))
		}
		s.Grow.State, s.Grow.First = control.GrowMoving, first[name]
		return nil
	})
}

// await waits until the table of a stream has all raw records below these offsets.
func (g *grower) await(ctx context.Context, name string, below map[int32]int64) error {
	one := *g.Pipeline
	one.Streams = []pipeline.Stream{*g.Pipeline.Stream(name)}
	gauge, err := lines.NewGauge(&one, g.Client, stage.Env{Kafka: g.Control.Client})
	if err != nil {
		return err
	}
	defer gauge.Close()
	waiting, cancel := context.WithTimeout(ctx, g.Within)
	defer cancel()
	if err := gauge.Await(waiting, below); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("stream %s: its table has not all of the raw topic within %s: %w; do its processors and sinks run, with the file of before? "+
			"Nothing is fetched until `%s` continues", name, g.Within, err, stage.Env{File: g.File}.Command("topics grow", fmt.Sprintf("--partitions %d", g.To)))
	}
	return nil
}

// openTable reaches the tables.
func (g *grower) openTable() (*sink.Admin, error) { return sink.OpenAdmin(g.Pipeline) }
