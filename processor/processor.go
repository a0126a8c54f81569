package processor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

const stageName = "processor"

// Processor is the second stage of a pipeline.
type Processor struct {
	pipeline *pipeline.Pipeline
	cfg      Config
	env      stage.Env
	group    string
	streams  map[string]*stream // by raw topic
	metrics  *metrics
	waits    *stage.Waits
	notices  *stage.Notices
	refusals *stage.Refusals
	progress *stage.Progress
	topics   *admin.Watch
	turns    turns
	twinned  atomic.Pointer[time.Time] // when a session last met another of its name
	decided  *decisions
	cl       *kgo.Client // while Run runs; nil: this is a redo
	limit    *limit
	rate     rate
	differs  hooks
}

// New compiles the steps of the streams that env names. It does no I/O.
func New(p *pipeline.Pipeline, cfg Config, env stage.Env) (*Processor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("processor: %w", err)
	}
	out := &Processor{
		pipeline: p, cfg: cfg, env: env,
		group:   topics.ProcessorGroup(p.Name),
		streams: map[string]*stream{},
		metrics: newMetrics(env.Metrics),
		waits:   stage.NewWaits(stageName, env),
		notices: stage.NewNotices(stageName, env),
		rate:    rate{limit: cfg.Rate},
	}
	out.limit = newLimit(out.rate.bound(cfg.MaxRecords))
	out.refusals = stage.NewRefusals(out.notices)
	out.progress = stage.NewProgress(env, "records", "rows", "filtered", "letters")
	chosen, err := p.Choose(env.Streams)
	if err != nil {
		return nil, fmt.Errorf("processor: %w", err)
	}
	var errs []error
	for _, s := range chosen {
		compiled, err := newStream(p, s, out.metrics)
		if err != nil {
			errs = append(errs, fmt.Errorf("processor: %w", err))
			continue
		}
		out.streams[topics.RawOf(p, s.Name)] = compiled
	}
	out.topics = admin.NewWatch(out.used())
	out.topics.May = control.Permit(p, env.Kafka)
	out.decided = newDecisions(p, env.Instance, env.Kafka)
	return out, errors.Join(errs...)
}

// Run processes until ctx is cancelled, and waits for Kafka where it is not there. It returns nil after a
// clean drain, which takes at most Config.Drain, else an error that needs an operator.
func (p *Processor) Run(ctx context.Context) error {
	if len(p.streams) == 0 {
		<-ctx.Done()
		return nil
	}
	hard, cancel := stage.Drain(ctx, p.cfg.Drain)
	defer cancel()

	cl, err := kgo.NewClient(p.env.Kafka...)
	if err != nil {
		return fmt.Errorf("processor: new client: %w", err)
	}
	defer cl.Close()
	defer p.decided.view.Close()
	p.cl = cl
	if err := p.prepare(ctx, kadm.NewClient(cl)); err != nil || ctx.Err() != nil {
		return err
	}
	p.env.Log.Info("processing", "group", p.group, "streams", len(p.streams), "sessions", p.sessionCount())
	return p.work(ctx, hard, cl)
}

// sessionCount is the number of sessions: more than there are partitions would be idle.
func (p *Processor) sessionCount() int {
	return min(p.cfg.Sessions, int(p.pipeline.Kafka.Partitions)*len(p.streams))
}

// prepare makes the topics, and makes the streams known, waiting for Kafka as long as it takes.
func (p *Processor) prepare(ctx context.Context, adm *kadm.Client) error {
	how := p.attempts("topics")
	how.Timeout = time.Minute
	return p.waits.Persist(ctx, how, func(ctx context.Context) error {
		err := admin.EnsureIf(ctx, adm, p.specs(), p.topics.May)
		if err == nil {
			_, err = p.topics.Look(ctx, adm)
		}
		if err != nil {
			return fmt.Errorf("processor: topics: %w", err)
		}
		if _, _, err := p.register(ctx, p.cl); err != nil {
			return fmt.Errorf("processor: %w", err)
		}
		p.env.Health.Ready(stageName) // from "starting"
		return nil
	})
}

// server is what the processor waits for.
const server = "Kafka"

// attempts says how who is tried again.
func (p *Processor) attempts(who string) stage.Attempts {
	return stage.Attempts{Server: server, Who: who, Permanent: needsOperator}
}

// letters names the dead-letter topic of a stream.
func (p *Processor) letters(stream string) string { return topics.DeadLetters(p.pipeline.Name, stream) }

// specs are those of the streams that run here.
func (p *Processor) specs() []topics.Spec {
	some := *p.pipeline
	some.Streams = nil
	for _, s := range p.pipeline.Streams {
		if p.streams[topics.RawOf(p.pipeline, s.Name)] != nil {
			some.Streams = append(some.Streams, s)
		}
	}
	return topics.Specs(&some)
}

// used are the topics that sessions read or write, and the control topic.
func (p *Processor) used() []topics.Spec {
	used := map[string]bool{}
	for raw, s := range p.streams {
		used[raw], used[s.processed], used[s.letters] = true, true, true
	}
	used[topics.Control(p.pipeline.Name)] = true
	return slices.DeleteFunc(p.specs(), func(s topics.Spec) bool { return !used[s.Topic] })
}

// work runs the sessions until ctx is cancelled or one of them cannot go on.
func (p *Processor) work(ctx, hard context.Context, cl *kgo.Client) error {
	adm := kadm.NewClient(cl)
	g, ctx := errgroup.WithContext(ctx)
	for i := range p.sessionCount() {
		id := topics.ProcessorTransactionalID(p.pipeline.Name, p.env.Instance, i)
		g.Go(func() error {
			return p.waits.Persist(ctx, p.attempts(id), func(ctx context.Context) error { return p.runSessions(ctx, hard, adm, id) })
		})
	}
	g.Go(func() error { return p.watch(ctx, adm) })
	g.Go(func() error {
		p.progress.Run(ctx, p.lag(cl))
		return nil
	})
	g.Go(func() error { return p.tellUnseen(ctx) })
	g.Go(func() error {
		p.rate.count(ctx, adm, p.group, nil)
		return nil
	})
	g.Go(func() error {
		p.follow(ctx)
		return nil
	})
	err := g.Wait()
	if hard.Err() != nil && err == nil {
		return fmt.Errorf("processor: not drained within %s: what was not committed will be processed again", p.cfg.Drain)
	}
	return err
}

// runSessions runs one session after the other until an error is worth a pause, and a word.
func (p *Processor) runSessions(ctx, hard context.Context, adm *kadm.Client, id string) error {
	for {
		turn := p.turns.next(ctx)
		err := p.runSession(turn, hard, adm, id)
		if gap, ok := errors.AsType[*PositionError](err); ok && p.cl != nil {
			p.env.Log.Debug("a session ends", "err", gap) // the next one goes on without these partitions
			continue
		}
		if unknownTopic(err) {
			if failed := p.renew(ctx, adm); failed != nil {
				return fmt.Errorf("%w; looking at the topics: %w", err, failed)
			}
		}
		if ctx.Err() != nil || !p.inOrder(turn, err) {
			return p.twin(err)
		}
	}
}

// inOrder reports whether err ends a session that another follows without a word.
func (p *Processor) inOrder(turn context.Context, err error) bool {
	switch {
	case needsOperator(err):
		return false
	case turn.Err() != nil, errors.Is(err, errDecided):
		return true
	case errors.Is(err, errCommitHappened): // it is known now: the next session begins behind it
		return true
	}
	if p.cl == nil || !fenced(err) {
		return false
	}
	if _, err := p.decided.view.Refresh(turn); err != nil || !p.decided.lately(p.streams) {
		return false
	}
	_ = stage.Sleep(turn, 100*time.Millisecond) // or it is a twin after all
	return true
}

// lag counts the raw records without an outcome.
func (p *Processor) lag(cl *kgo.Client) stage.Lag {
	return func(ctx context.Context, streams ...string) (int64, error) {
		decided := map[string]*control.Stream{}
		for topic, s := range p.streams {
			if len(streams) == 0 || slices.Contains(streams, s.name) {
				decided[topic] = p.decided.view.Stream(s.name)
			}
		}
		return control.Lag(ctx, cl, p.group, decided)
	}
}

// looksEvery is how many looks at the brokers one look at the topics takes, which costs more.
const looksEvery = 4

// watch notices a Kafka that is gone while nothing is processed.
func (p *Processor) watch(ctx context.Context, adm *kadm.Client) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for looks := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := adm.BrokerMetadata(attempt)
		cancel()
		if err != nil && ctx.Err() == nil {
			p.waits.On(server, "brokers", err)
		} else {
			p.waits.Done(server, "brokers")
		}
		// A group whose topic is deleted assigns nothing, and no session meets an error.
		if looks++; err == nil && looks%looksEvery == 0 {
			if err := p.renew(ctx, adm); err != nil && ctx.Err() == nil {
				p.waits.On(server, "topics", err)
			} else {
				p.waits.Done(server, "topics")
			}
		}
	}
}
