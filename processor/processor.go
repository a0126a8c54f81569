package processor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
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
	waits    *waits
	limit    atomic.Int64 // records of a transaction at present, up to MaxRecords
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
		waits:   newWaits(env),
	}
	out.limit.Store(int64(cfg.MaxRecords))
	for _, name := range env.Streams {
		if p.Stream(name) == nil {
			return nil, fmt.Errorf("processor: the pipeline has no stream %s", name)
		}
	}
	var errs []error
	for i := range p.Streams {
		s := &p.Streams[i]
		if env.Streams != nil && !slices.Contains(env.Streams, s.Name) {
			continue
		}
		compiled, err := newStream(p, s, out.metrics)
		if err != nil {
			errs = append(errs, fmt.Errorf("processor: %w", err))
			continue
		}
		out.streams[topics.Raw(p.Name, s.Name)] = compiled
	}
	return out, errors.Join(errs...)
}

// Run processes until ctx is cancelled, and waits for Kafka where it is not there. It returns nil after a
// clean drain, which takes at most Config.Drain, else an error that a person must mend.
func (p *Processor) Run(ctx context.Context) error {
	if len(p.streams) == 0 {
		<-ctx.Done()
		return nil
	}
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		t := time.AfterFunc(p.cfg.Drain, cancel)
		context.AfterFunc(hard, func() { t.Stop() })
	})()

	cl, err := kgo.NewClient(p.env.Kafka...)
	if err != nil {
		return fmt.Errorf("processor: new client: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if err := p.prepare(ctx, adm); err != nil {
		return ignoreCancelled(ctx, err)
	}
	p.env.Log.Info("processing", "group", p.group, "streams", len(p.streams), "sessions", p.sessions())
	return p.work(ctx, hard, adm)
}

// sessions is their number: more than there are partitions would be idle.
func (p *Processor) sessions() int {
	return min(p.cfg.Sessions, int(p.pipeline.Kafka.Partitions)*len(p.streams))
}

// prepare makes the topics, waiting for Kafka as long as it takes.
func (p *Processor) prepare(ctx context.Context, adm *kadm.Client) error {
	return p.persist(ctx, "topics", func() error {
		attempt, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := admin.Ensure(attempt, adm, p.specs()); err != nil {
			return fmt.Errorf("processor: topics: %w", err)
		}
		p.waits.done("topics")
		p.env.Health.Ready(stageName) // from "starting"
		return nil
	})
}

// specs are those of the streams that run here.
func (p *Processor) specs() []topics.Spec {
	some := *p.pipeline
	some.Streams = nil
	for _, s := range p.pipeline.Streams {
		if p.streams[topics.Raw(p.pipeline.Name, s.Name)] != nil {
			some.Streams = append(some.Streams, s)
		}
	}
	return topics.Specs(&some)
}

// work runs the sessions until ctx is cancelled or one of them cannot go on.
func (p *Processor) work(ctx, hard context.Context, adm *kadm.Client) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range p.sessions() {
		id := topics.ProcessorTransactionalID(p.pipeline.Name, p.env.Instance, i)
		g.Go(func() error {
			return p.persist(ctx, id, func() error { return p.session(ctx, hard, adm, id) })
		})
	}
	g.Go(func() error { return p.watch(ctx, adm) })
	err := g.Wait()
	if hard.Err() != nil && err == nil {
		return fmt.Errorf("processor: not drained within %s: what was not committed will be processed again", p.cfg.Drain)
	}
	return err
}

// persist calls do until it returns nil, ctx is cancelled, or its error is one that a person must mend.
func (p *Processor) persist(ctx context.Context, who string, do func() error) error {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 50*time.Millisecond, 5*time.Second
	for {
		start := time.Now()
		err := do()
		if err == nil || ctx.Err() != nil {
			p.waits.done(who)
			return ignoreCancelled(ctx, err)
		}
		if mustStop(err) {
			return err
		}
		if time.Since(start) > 30*time.Second {
			b.Reset()
		}
		p.waits.on(who, err)
		select {
		case <-ctx.Done():
		case <-time.After(b.NextBackOff()):
		}
	}
}

// watch notices a Kafka that is gone while nothing is processed.
func (p *Processor) watch(ctx context.Context, adm *kadm.Client) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := adm.BrokerMetadata(attempt)
		cancel()
		if err != nil && ctx.Err() == nil {
			p.waits.on("brokers", err)
		} else {
			p.waits.done("brokers")
		}
	}
}

// pollError is the first error of a poll that is not the client's to mend.
func (p *Processor) pollError(fetches kgo.Fetches) (err error) {
	fetches.EachError(func(topic string, partition int32, e error) {
		if err != nil || errors.Is(e, context.Canceled) || errors.Is(e, context.DeadlineExceeded) {
			return
		}
		err = fetchError(p.group, kgo.FetchError{Topic: topic, Partition: partition, Err: e})
	})
	return err
}

// sessionOpts are the client options of one session.
func (p *Processor) sessionOpts(id string) []kgo.Opt {
	raw := make([]string, 0, len(p.streams))
	larger := map[string]bool{}
	for topic, s := range p.streams {
		raw = append(raw, topic)
		larger[s.letters] = true
	}
	record := p.pipeline.Kafka.MaxRecordBytes
	return append(slices.Clone(p.env.Kafka),
		kgo.ConsumerGroup(p.group),
		kgo.ConsumeTopics(raw...),
		kgo.InstanceID(id),
		kgo.TransactionalID(id),
		kgo.TransactionTimeout(p.cfg.TransactionTimeout),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// A new group starts at the log's start; an offset that is not there is never replaced by another.
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(p.cfg.SessionTimeout),
		kgo.HeartbeatInterval(p.cfg.SessionTimeout/4),
		kgo.RebalanceTimeout(p.cfg.TransactionTimeout+5*time.Second),
		kgo.FetchMaxBytes(int32(p.cfg.FetchBytes)),
		kgo.FetchMaxPartitionBytes(min(int32(p.cfg.FetchBytes), max(1<<20, record))),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 {
			if larger[topic] {
				return record + topics.LetterBytes
			}
			return record
		}),
	)
}
