package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

const stageName = "sink"

// Sink is the third stage of a pipeline.
type Sink struct {
	pipeline *pipeline.Pipeline
	cfg      Config
	env      stage.Env
	metrics  *metrics
	tables   map[string]*table // by processed topic
	store    *store
	waits    *waits

	client  *kgo.Client
	adm     *kadm.Client
	writers []*writer

	// mu guards claims. A writer holds it for reading while it writes a batch, and the loop while it shares out what a poll returned; the
	// client's callbacks hold it for writing. So a revocation waits for the transactions in hand, and no more is begun before it.
	mu     sync.RWMutex
	claims map[topicPartition]*claim

	anyFenced atomic.Bool // a claim waits to be claimed again

	stop context.CancelCauseFunc
}

type topicPartition struct {
	topic string
	part  int32
}

// New prepares the streams that env names. It does no I/O.
func New(p *pipeline.Pipeline, cfg Config, env stage.Env) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	d, err := newDialect(p)
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	if p.Database.Embedded {
		cfg.Writers = 1 // SQLite has one writer
	}
	s := &Sink{
		pipeline: p, cfg: cfg, env: env, metrics: newMetrics(env.Metrics), waits: &waits{env: env},
		tables: map[string]*table{}, claims: map[topicPartition]*claim{},
		store: &store{dialect: d, cfg: cfg, owner: env.Instance},
	}
	for _, name := range env.Streams {
		if p.Stream(name) == nil {
			return nil, fmt.Errorf("sink: the pipeline has no stream %s", name)
		}
	}
	for i := range p.Streams {
		if st := &p.Streams[i]; env.Streams == nil || slices.Contains(env.Streams, st.Name) {
			s.tables[topics.Processed(p.Name, st.Name)] = newTable(p, st)
		}
	}
	return s, nil
}

// Run writes until ctx is cancelled, and waits for Kafka and the database where they are not there. It returns nil
// after a clean drain, which takes at most Config.Drain, else an error that a person must mend.
func (s *Sink) Run(ctx context.Context) (err error) {
	if len(s.tables) == 0 {
		<-ctx.Done()
		return nil
	}
	defer s.store.close()
	if err := s.store.open(); err != nil {
		return fmt.Errorf("sink: %w", err)
	}

	ctx, s.stop = context.WithCancelCause(ctx)
	defer s.stop(nil)
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		t := time.AfterFunc(s.cfg.Drain, cancel)
		context.AfterFunc(hard, func() { t.Stop() })
	})()

	if err := s.prepare(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	s.env.Health.Ready(stageName) // from "starting"
	for range s.cfg.Writers {
		s.writers = append(s.writers, &writer{store: s.store})
	}
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	if err := s.join(ctx, life); err != nil {
		return fmt.Errorf("sink: new client: %w", err)
	}
	s.env.Log.Info("writing", "group", topics.SinkGroup(s.pipeline.Name), "streams", len(s.tables), "database", s.store.dialect.name(),
		"by_load_data", s.byLoadData())
	err = s.loop(ctx, hard)
	s.leave(hard, kill)
	if hard.Err() != nil && err == nil {
		return fmt.Errorf("sink: not drained within %s: what was not committed will be written by whoever takes over", s.cfg.Drain)
	}
	return err
}

// byLoadData counts the tables that have a fast way.
func (s *Sink) byLoadData() (n int) {
	for _, t := range s.tables {
		if t.bulk != nil {
			n++
		}
	}
	return n
}

// join makes the client, which joins the group at once: its callbacks wait until it is in its place.
func (s *Sink) join(ctx, life context.Context) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client, err = kgo.NewClient(append(s.clientOpts(ctx), kgo.WithContext(life))...); err == nil {
		s.adm = kadm.NewClient(s.client)
	}
	return err
}

// prepare makes topics and tables, waiting for their servers as long as it takes.
func (s *Sink) prepare(ctx context.Context) error {
	tables := make([]*table, 0, len(s.tables))
	for _, t := range s.tables {
		tables = append(tables, t)
	}
	slices.SortFunc(tables, func(a, b *table) int { return slices.Compare([]byte(a.name), []byte(b.name)) })
	if err := s.persist(ctx, s.store.dialect.name(), func(ctx context.Context) error { return s.store.prepare(ctx, tables) }); err != nil || ctx.Err() != nil {
		return err
	}
	client, err := kgo.NewClient(s.env.Kafka...)
	if err != nil {
		return fmt.Errorf("sink: new client: %w", err)
	}
	defer client.Close()
	return s.persist(ctx, "Kafka", func(ctx context.Context) error {
		return admin.Ensure(ctx, kadm.NewClient(client), topics.Specs(s.pipeline))
	})
}

// persist calls do until it returns nil, ctx is cancelled (nil), or its error is one that a person must mend.
func (s *Sink) persist(ctx context.Context, server string, do func(context.Context) error) error {
	wait := newBackoff()
	for {
		attempt, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := do(attempt)
		cancel()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // as said above
		}
		if err == nil {
			s.waits.done(server)
			return nil
		}
		if mustStop(err) {
			return fmt.Errorf("sink: %w", err)
		}
		s.waits.on(server, err)
		select {
		case <-ctx.Done():
		case <-time.After(wait.NextBackOff()):
		}
	}
}

// mustStop tells what a person must mend before anything can go on.
func mustStop(err error) bool {
	var mismatch *admin.MismatchError
	var misfit *TableError
	var position *PositionError
	var server *serverError
	return errors.As(err, &server) || errors.As(err, &mismatch) || errors.As(err, &misfit) || errors.As(err, &position)
}

// clientOpts are the consumer's options. ctx is Run's: once it is cancelled no callback waits for a server.
func (s *Sink) clientOpts(ctx context.Context) []kgo.Opt {
	names := make([]string, 0, len(s.tables))
	for topic := range s.tables {
		names = append(names, topic)
	}
	slices.Sort(names)
	record := s.pipeline.Kafka.MaxRecordBytes
	return append(slices.Clone(s.env.Kafka),
		kgo.ConsumerGroup(topics.SinkGroup(s.pipeline.Name)),
		kgo.ConsumeTopics(names...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // so that the position moves past them, and stays in the log when retention empties it
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // a position that is not there is never replaced by another
		kgo.AdjustFetchOffsetsFn(func(session context.Context, at map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			session, cancel := context.WithCancel(session)
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			return s.assigned(session, at)
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, _ *kgo.Client, gone map[string][]int32) { s.gone(ctx, gone, true) }),
		kgo.OnPartitionsLost(func(ctx context.Context, _ *kgo.Client, gone map[string][]int32) { s.gone(ctx, gone, false) }),
		kgo.AutoCommitMarks(), // for lag tools
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(s.cfg.SessionTimeout),
		kgo.HeartbeatInterval(s.cfg.SessionTimeout/4),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.FetchMaxBytes(int32(s.cfg.MaxFetchBytes)),
		kgo.FetchMaxPartitionBytes(min(int32(s.cfg.MaxFetchBytes), max(1<<20, record))),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), // a letter keeps its origin's partition
		kgo.ProducerBatchMaxBytes(record+topics.LetterBytes),
	)
}

// closeGrace is how long a client may take to leave the group: one that is joining waits for the other members.
const closeGrace = 5 * time.Second

// leave releases the claims and leaves the group, so that others take over at once.
func (s *Sink) leave(ctx context.Context, kill context.CancelFunc) {
	closed := make(chan struct{})
	go func() { defer close(closed); s.client.CloseAllowingRebalance() }() // revokes, which releases
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-closed:
	case <-grace.C:
		kill()
		<-closed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	left := make([]*claim, 0, len(s.claims))
	for _, c := range s.claims {
		left = append(left, c)
	}
	ctx, cancel := context.WithTimeout(ctx, closeGrace)
	defer cancel()
	if err := s.store.release(ctx, left); err != nil {
		s.env.Log.Debug("claims not released; whoever takes over will claim all the same", "error", err)
	}
	for _, w := range s.writers {
		w.disconnect()
	}
}
