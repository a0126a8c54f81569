package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/fetch/auth"
	"github.com/millrace-io/millrace/ingest/known"
	"github.com/millrace-io/millrace/internal/calendar"
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
	hooks         *hooks       // nil: no stream is delivered

	mu      sync.Mutex
	readers map[*pipeline.Stream]*reader
	owned   []sliceRef
	ended   map[string]bool   // slices that have ended a pass since started, by key
	done    bool              // passesDone is closed
	told    map[string]string // ids of raw topics that were made anew, by stream
}

// A process has so many requests in flight, three quarters of them at one API at most, and so many pages that were fetched
// before their turn, whatever the number of its slices is.
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
	chosen, err := p.Choose(env.Streams)
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	var errs []error
	for i := range p.Streams {
		s := &p.Streams[i]
		run := slices.Contains(chosen, s)
		err := in.register(s, run)
		if of := deletionsOf(s); err == nil && of != nil {
			err = in.register(of, run)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("ingest: stream %s: %w", s.Name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
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

// register counts the slices of a stream, and notes them as this process's to run if run.
func (in *Ingest) register(s *pipeline.Stream, run bool) error {
	scale, err := cursor.NewScale(&s.Ingest)
	if err != nil {
		return err
	}
	if s.Ingest.Webhook != nil {
		in.seen[s] = &seen{stream: s, scale: scale, notices: in.notices}
		return nil
	}
	i := s.Ingest.Incremental
	if i != nil && i.Window != nil && (s.Ingest.ForEach != nil || s.Ingest.Deletes != nil || s.Ingest.Job != nil) {
		return errors.New("incremental.window: a stream with for_each, deletes or job has none")
	}
	if i != nil && i.Window != nil && (i.Window.Step < time.Second || i.Start == "") {
		return errors.New("incremental.window: there is no step of a second or more, or no incremental.start")
	}
	if i != nil && i.Start != "" {
		if _, err := scale.Parse(i.Start); err != nil {
			return err
		}
	}
	if _, err := cursor.NewVersions(&s.Ingest); err != nil {
		return err
	}
	if rule := newErrorRule(s.Ingest.ErrorWhen); rule.err != nil {
		return rule.err
	}
	if _, err := newRules(&s.Ingest); err != nil {
		return err
	}
	if _, err := calendar.New(&s.Ingest); err != nil {
		return err
	}
	if _, err := newJobRules(&s.Ingest); err != nil {
		return err
	}
	transport, err := in.transports.For(s.Ingest.HTTP)
	if err != nil {
		return err
	}
	if _, err := in.sessions.For(s.Ingest.HTTP, transport); err != nil {
		return err
	}
	in.seen[s] = &seen{stream: s, scale: scale, notices: in.notices}
	if d := s.Ingest.Deletes; d != nil {
		if s.Ingest.SharesKeys() {
			return errors.New("deletes: a complete read of one slice does not tell what is gone, where slices share keys")
		}
		in.seen[s].room = known.NewRoom(d.MaxKeys)
	}
	if s.Ingest.ForEach != nil {
		return in.registerFeeds(s, run)
	}
	names := s.Ingest.SliceNames()
	if s.Ingest.Deletions {
		for i := range names {
			names[i] = deletionsPrefix + names[i]
		}
	}
	in.slicesOf[in.budgets.For(s.Ingest.HTTP)] += len(names)
	for i, name := range names {
		if err := checkRequest(&s.Ingest, name); err != nil {
			return err
		}
		if main := strings.HasPrefix(name, deletionsPrefix) != s.Ingest.Deletions; main || strings.ContainsRune(name, 0) || slices.Contains(names[:i], name) {
			return fmt.Errorf("slices: %q is there twice, holds a NUL, or begins with %q", name, deletionsPrefix)
		}
		if run && (!in.cfg.Once || !continuous(&s.Ingest)) {
			n := topics.Partition([]byte(cursor.Key(s.Name, name)), topics.StatePartitions)
			in.byPartition[n] = append(in.byPartition[n], sliceRef{stream: s, name: name})
		}
	}
	return nil
}

// registerFeeds is register for a child stream: it has a feed for each partition of its parent's raw topic.
func (in *Ingest) registerFeeds(s *pipeline.Stream, run bool) error {
	parent := in.p.Stream(s.Ingest.ForEach.Parent)
	ancestors := in.p.Ancestors(s)
	switch {
	case parent == nil:
		return fmt.Errorf("for_each: there is no stream %q", s.Ingest.ForEach.Parent)
	case parent == s || ancestors[len(ancestors)-1].Ingest.ForEach != nil:
		return fmt.Errorf("for_each: the stream is made from its own records, by way of %q", s.Ingest.ForEach.Parent)
	}
	for _, values := range s.Ingest.Slices.Combinations() {
		if err := checkRequest(&s.Ingest, pipeline.SliceName(append([]string{"1"}, values...)...)); err != nil {
			return err
		}
	}
	in.kids[s] = newKids(in, s)
	in.slicesOf[in.budgets.For(s.Ingest.HTTP)] += int(in.p.Kafka.Partitions)
	for n := range in.p.Kafka.Partitions {
		if run {
			at := topics.FeedPartition(s.Name, n)
			in.byPartition[at] = append(in.byPartition[at], sliceRef{stream: s, name: cursor.FeedKey(s.Name, n), feed: true, partition: n})
		}
	}
	return nil
}

// Run fetches and takes what is delivered until ctx ends, then commits what it has and returns nil. It waits for brokers and
// APIs that do not answer; its error needs an operator. It may be called once.
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
		in.hooks.ready.Store(true)
	}
	var telling sync.WaitGroup
	defer telling.Wait()
	told, end := context.WithCancel(ctx)
	defer end()
	telling.Go(func() { in.progress.Run(told, nil) })
	telling.Go(func() { in.decisions.follow(told) })
	for ctx.Err() == nil {
		err := in.participate(ctx)
		if err == nil {
			return nil
		}
		if errors.Is(err, errAnew) {
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
