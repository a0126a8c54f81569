package processor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// decisions is what was decided about the streams, by the control topic, and what was made of it. It may be used
// concurrently.
type decisions struct {
	view *control.View
	cfg  control.Config

	registering sync.Mutex // one at a time

	mu       sync.Mutex
	begun    map[string]string  // by stream: what the sessions of the turn under way began with
	compiled map[string]*stream // by stream: the live logic, where it is not the file's
	texts    map[string]string  // of compiled: the definitions
	gaps     map[touched]uint32 // partitions whose position is not in the log, and the run that it is of
	gapTexts map[string]gapText // by raw topic
}

// decisionsEvery is how often the control topic is looked at.
const decisionsEvery = 2 * time.Second

func newDecisions(p *pipeline.Pipeline, who string, client []kgo.Opt) *decisions {
	cfg := control.Config{Pipeline: p.Name, Who: who, Client: client}
	return &decisions{
		cfg: cfg, view: control.NewView(cfg), begun: map[string]string{}, compiled: map[string]*stream{}, texts: map[string]string{},
		gaps: map[touched]uint32{}, gapTexts: map[string]gapText{},
	}
}

// errDecided ends a session that has decided something: the next one begins with it.
var errDecided = errors.New("something was decided about the streams")

// register decides what this process has to about its streams, and reports whether there was anything.
func (p *Processor) register(ctx context.Context, cl *kgo.Client) (ids map[string]kadm.TopicID, decided bool, err error) {
	d := p.decided
	d.registering.Lock()
	defer d.registering.Unlock()
	if _, err := d.view.Refresh(ctx); err != nil {
		return nil, false, err
	}
	raw := slices.Sorted(maps.Keys(p.streams))
	names := slices.Clone(raw)
	for _, s := range p.streams {
		names = append(names, s.processed)
	}
	if ids, err = topicIDs(ctx, cl, names...); err != nil {
		return nil, false, err
	}
	var some []*facts
	for _, topic := range raw {
		f := factsOf(p.pipeline, p.streams[topic].file, ids[topic], ids[p.streams[topic].processed], p.env.Instance)
		if f.viewed = d.view.Stream(f.stream.Name); !f.known(f.viewed) {
			some = append(some, f)
		}
	}
	if len(some) == 0 {
		return ids, false, nil
	}
	after, err := register(ctx, d.cfg, cl, p.pipeline, some)
	if err != nil {
		return nil, false, fmt.Errorf("decide about the streams: %w", err)
	}
	for _, f := range some {
		now := after[f.stream.Name]
		p.tellDecided(&now, f)
	}
	_, err = d.view.Refresh(ctx)
	return ids, true, err
}

// tellDecided tells of what this process has decided, in the log. That a stream runs for the first time is not worth a
// line.
func (p *Processor) tellDecided(after *control.Stream, f *facts) {
	name, before := f.stream.Name, f.viewed
	if len(before.Generations) > 0 && after.Live > before.Live && after.Generation(after.Live).By == f.by {
		p.env.Log.Warn("the file has another logic than before: it makes the rows of the records that come from now on, and the rows that are there "+
			"stay as the logic of before made them", "stream", name, "generation", after.Live,
			"what_would_change", p.env.Command("replay", name, "--dry-run"), "next", p.env.Command("replay", name))
	}
	if n := len(after.Epochs); n > 1 && len(before.Epochs) < n {
		p.env.Log.Warn("the raw topic is not the one of before: what is in it is newer than all that was there before. Rows stay until "+
			"a newer record of their key comes", "stream", name, "epoch", after.Epochs[n-1].Number, "topic", topics.RawOf(p.pipeline, name),
			"next", p.env.Command("reset", name, "--sweep"))
	}
}

// plan is what a session runs of each stream, by raw topic, as it was decided when plan was called or later.
func (p *Processor) plan(ctx context.Context, cl *kgo.Client) (map[string]*stream, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ids, decided, err := p.register(ctx, cl)
	if err != nil {
		return nil, err
	}
	if decided {
		return nil, errDecided
	}
	plan := map[string]*stream{}
	for topic, file := range p.streams {
		s := p.decided.view.Stream(file.name)
		p.noticed(file, s)
		f := factsOf(p.pipeline, file.file, ids[topic], ids[file.processed], p.env.Instance)
		if !f.known(s) { // it was decided otherwise meanwhile
			return nil, errDecided
		}
		plan[topic] = p.runs(topic, file, s, f)
	}
	return plan, nil
}

// noticed ends the turn under way if its sessions began with other decisions.
func (p *Processor) noticed(file *stream, s *control.Stream) {
	d := p.decided
	now := matters(s, file)
	d.mu.Lock()
	was, ok := d.begun[file.name]
	d.begun[file.name] = now
	d.mu.Unlock()
	if ok && was != now {
		p.turns.over()
	}
}

// matters is what sessions have to begin again for. A line that is built beside the live one is none of it, unless it
// is of the file's logic: new sessions wait for a rebalance, which live records would notice.
func matters(s *control.Stream, file *stream) string {
	var b strings.Builder
	fmt.Fprint(&b, s.Live, s.Epochs, s.Run, s.Lost != nil, s.Moved, s.IsPaused(stageName), s.LiveLine, s.Without(), s.Partitions)
	if s.Grow != nil {
		fmt.Fprint(&b, s.Grow.State)
	}
	if l := s.LineOf(file.logic); l != nil { // what is told of the file depends on it
		fmt.Fprint(&b, " ", l.Number, l.State)
	}
	return b.String()
}

// lately reports whether processors were fenced a moment ago because of a decision.
func (d *decisions) lately(streams map[string]*stream) bool {
	const moment = 30 * time.Second
	for _, s := range streams {
		now := d.view.Stream(s.name)
		g := now.Generation(now.Live)
		if g != nil && (g.Kind != control.First || now.Run.Why == control.Upgrade) && time.Since(g.At).Abs() < moment {
			return true
		}
		if now.Grow != nil || now.Partitions != 0 && time.Since(now.Run.At).Abs() < moment {
			return true
		}
		if now.Run.ProcessedTopicID != "" && time.Since(now.Run.At).Abs() < moment {
			return true
		}
	}
	return false
}

// follow ends turns when something is decided, until ctx ends.
func (p *Processor) follow(ctx context.Context) {
	const who = "control"
	defer p.waits.Drop(who)
	files := map[string]*stream{}
	for _, s := range p.streams {
		files[s.name] = s
	}
	p.decided.view.Follow(ctx, decisionsEvery, func(name string) {
		if file := files[name]; file != nil {
			p.noticed(file, p.decided.view.Stream(name))
		}
	}, func(err error) {
		if unknownTopic(err) {
			err = errors.Join(err, p.renew(ctx, kadm.NewClient(p.cl)))
		}
		if err != nil {
			p.waits.On(server, who, err)
			return
		}
		p.waits.Done(server, who)
	})
}
