package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/fetch/auth"
	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// Ingest fetches the streams of a pipeline into their raw topics.
type Ingest struct {
	p           *pipeline.Pipeline
	cfg         Config
	env         stage.Env
	metrics     *metrics
	waits       *stage.Waits
	notices     *stage.Notices
	refusals    *stage.Refusals
	progress    *stage.Progress
	topics      *admin.Watch
	adm         *kadm.Client // from Run on
	seen        map[*pipeline.Stream]*seen
	budgets     fetch.Budgets
	memory      *fetch.Memory
	restores    *semaphore.Weighted
	room        *room
	transports  fetch.Transports
	sessions    auth.Sessions
	byPartition map[int32][]sliceRef  // slices that this process may run
	slicesOf    map[*fetch.Budget]int // of the whole pipeline, by the budget that they share
	started     time.Time
	passesDone  chan struct{}
	decisions   *decisions
	kids        map[*pipeline.Stream]*kids // of child streams

	childSegments atomic.Int64 // bytes of what children remember to have written
	overlapping   atomic.Int64 // keys in the overlaps of all passes
	hooks         *hooks       // nil: no stream is delivered

	mu      sync.Mutex
	readers map[*pipeline.Stream]*reader
	owned   []sliceRef
	ended   map[string]bool   // slices that have ended a pass since started, by key
	done    bool              // passesDone is closed
	told    map[string]string // ids of raw topics that were recreated, by stream
}

// A process has so many requests in flight, three quarters of them at one API at most, and so many pages that were
// fetched before their turn, whatever the number of its slices is.
const (
	requestsInFlight = 256
	pagesAhead       = 1024
)

// sliceRef names a slice, or a feed.
type sliceRef struct {
	stream    *pipeline.Stream
	name      string
	feed      bool
	partition int32 // of the parent's raw topic, of a feed
}

// New checks that the streams can be fetched. It makes no connection.
func New(p *pipeline.Pipeline, cfg Config, env stage.Env) (*Ingest, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	in := newIngest(p, cfg, env)
	chosen, err := p.Choose(env.Streams)
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	if err := in.registerAll(chosen); err != nil {
		return nil, err
	}
	in.metrics = newMetrics(env.Metrics)
	for s, k := range in.kids {
		k.metrics = in.metrics.kids(s.Name)
	}
	in.decisions = newDecisions(in)
	if in.hooks, err = newHooks(in, chosen); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	return in, nil
}

// newIngest is an ingest without streams.
func newIngest(p *pipeline.Pipeline, cfg Config, env stage.Env) *Ingest {
	in := &Ingest{
		p: p, cfg: cfg, env: env, waits: stage.NewWaits("ingest", env), notices: stage.NewNotices("ingest", env),
		seen:        map[*pipeline.Stream]*seen{},
		room:        newRoom(min(2*cfg.TransactionBytes, cfg.MemoryBytes/4)),
		readers:     map[*pipeline.Stream]*reader{},
		budgets:     fetch.Budgets{InFlight: requestsInFlight, Ahead: pagesAhead},
		restores:    semaphore.NewWeighted(restores),
		memory:      fetch.NewMemory(max(cfg.PageMemoryBytes, cfg.MemoryBytes*3/4), cfg.PageMemoryBytes, cfg.TempDir),
		byPartition: map[int32][]sliceRef{}, slicesOf: map[*fetch.Budget]int{},
		kids: map[*pipeline.Stream]*kids{}, ended: map[string]bool{}, told: map[string]string{}, passesDone: make(chan struct{}),
	}
	in.transports.Idle, in.transports.Wrap = requestsInFlight, cfg.Transport
	in.sessions.Store = func(name string) auth.Store { return &credential{in: in, name: name} }
	in.refusals = stage.NewRefusals(in.notices)
	in.topics = admin.NewWatch(in.written())
	in.progress = stage.NewProgress(env, "records", "unchanged", "letters")
	return in
}

// Run fetches and takes what is delivered until ctx ends, then commits what it has and returns nil. It waits for
// brokers and APIs that do not answer; its error needs an operator. It may be called once.
func (in *Ingest) Run(ctx context.Context) error {
	in.started = time.Now().UTC().Truncate(time.Millisecond)
	defer in.close()
	if in.cfg.Once {
		in.leaveOut()
		return in.run(ctx)
	}
	if in.hooks == nil {
		return in.run(ctx)
	}
	if err := in.hooks.listen(ctx); err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return in.hooks.run(ctx) })
	both.Go(func() error { return in.run(ctx) })
	return both.Wait()
}

// leaveOut says which streams do not run where each has one pass.
func (in *Ingest) leaveOut() {
	for i := range in.p.Streams {
		if s := &in.p.Streams[i]; continuous(&s.Ingest) {
			in.env.Log.Info("left out: a webhook, or a stream of events, has no pass that ends", "stream", s.Name)
		}
	}
	if len(in.byPartition) == 0 {
		in.done = true
		close(in.passesDone)
	}
}

// run fetches until ctx ends.
func (in *Ingest) run(ctx context.Context) error {
	cl, err := kgo.NewClient(in.env.Kafka...)
	if err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	defer cl.Close()
	in.adm = kadm.NewClient(cl)
	if err := in.ensureTopics(ctx); err != nil {
		return err
	}
	defer in.decisions.view.Close()
	if in.hooks != nil {
		in.hooks.restore(ctx)
		in.hooks.ready.Store(true)
	}
	var telling sync.WaitGroup
	defer telling.Wait()
	told, end := context.WithCancel(ctx)
	defer end()
	telling.Go(func() { in.progress.Run(told, nil) })
	telling.Go(func() { in.decisions.follow(told) })
	return in.keepOn(ctx)
}

// keepOn takes part in the group until ctx ends, and joins it again where another process has taken over.
func (in *Ingest) keepOn(ctx context.Context) error {
	for ctx.Err() == nil {
		err := in.participate(ctx)
		if err == nil {
			return nil
		}
		if errors.Is(err, errRecreated) {
			continue
		}
		if _, ok := errors.AsType[*changelog.FencedError](err); !ok {
			return err
		}
		in.metrics.fenced.Inc()
		in.env.Log.Warn("fenced: another process has taken over; this one forgets what it knew and joins again", "err", err)
		_ = stage.Sleep(ctx, 200*time.Millisecond+rand.N(time.Second))
	}
	return nil
}

// close gives back the temporary file and the connections that rest.
func (in *Ingest) close() {
	in.memory.Close()
	in.transports.Close()
}

// ensureTopics creates the topics that are missing, waiting for the brokers as long as it takes.
func (in *Ingest) ensureTopics(ctx context.Context) error {
	err := in.waits.Persist(ctx, stage.Attempts{Server: kafka, Timeout: 30 * time.Second, Permanent: admin.NeedsOperator},
		func(ctx context.Context) error {
			if err := admin.Ensure(ctx, in.adm, topics.Specs(in.p)); err != nil {
				return err
			}
			if _, err := in.topics.Look(ctx, in.adm); err != nil {
				return err
			}
			return in.decisions.read(ctx)
		})
	if err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	in.env.Health.Ready("ingest") // from "starting"
	return nil
}

// kafka is the server that all of ingest waits for, as [stage.Waits] names it.
const kafka = "Kafka"

// letters names the dead-letter topic of a stream.
func (in *Ingest) letters(stream string) string { return topics.DeadLetters(in.p.Name, stream) }
