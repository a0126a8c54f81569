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
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/dialect/mysql"
	"github.com/millrace-io/millrace/sink/dialect/sqlite"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

const stageName = "sink"

// Sink is the third stage of a pipeline.
type Sink struct {
	pipeline *pipeline.Pipeline
	cfg      Config
	env      stage.Env
	metrics  *metrics
	tables   tables
	store    *store
	waits    *stage.Waits
	notices  *stage.Notices
	refusals *stage.Refusals
	progress *stage.Progress

	client  *kgo.Client
	adm     *kadm.Client
	writers []*writer

	// mu guards claims. A writer holds it for reading while it writes a batch, and the loop while it shares out what
	// a poll returned; the client's callbacks hold it for writing. So a revocation waits for the transactions in
	// hand, and no more is begun before it.
	mu     sync.RWMutex
	claims map[topicPartition]*claim
	fills  []*fill // that are under way; guarded as claims are
	sorts  sorts

	inHand     atomic.Int32  // queues that were fed to writers, and are not written yet
	allWritten chan struct{} // one token, for the moment in which inHand became 0
	apart      bool          // each writer gets what is of its partitions, not the first all; the loop's alone
	parting    bool          // apart has just become true; the loop's alone
	manyAt     time.Time     // when a poll brought more than few; the loop's alone

	parking parking
	view    *control.View
	counted map[string]counted // by topic; the follower's alone
	defined map[string]defined // by topic; tend's alone

	anyFenced atomic.Bool // a claim waits to be claimed again
	topics    *admin.Watch
	suspect   atomic.Bool // a topic is not known any more
	nextLook  time.Time   // at the topics; the loop's alone
	swapsSeen time.Time   // when swaps were looked at; tend's alone

	stop context.CancelCauseFunc
}

// newDialect returns the dialect of p's database. Nothing else in the sink knows which there are.
func newDialect(p *pipeline.Pipeline) (dialect.Dialect, error) {
	if p.Database.Embedded {
		return sqlite.New(p.DataDir), nil
	}
	return mysql.New(p.Database.MySQL)
}

// DDL are the statements that the sink makes tables with where they are missing: those of its own, and that of each
// stream, in the order of the file. Of the database it asks nothing but its kind.
func DDL(p *pipeline.Pipeline) (own, tables []string) {
	var d dialect.Dialect = &mysql.Dialect{}
	if p.Database.Embedded {
		d = sqlite.New(p.DataDir)
	}
	for i := range p.Streams {
		tables = append(tables, d.CreateTable(rows.NewTable(&p.Streams[i])))
	}
	return d.CreateOwn(), tables
}

type topicPartition struct {
	topic     string
	partition int32
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
	cfg.Writers = min(cfg.Writers, d.Writers())
	s := &Sink{
		pipeline: p, cfg: cfg, env: env, metrics: newMetrics(env.Metrics), waits: stage.NewWaits(stageName, env),
		notices: stage.NewNotices(stageName, env),
		claims:  map[topicPartition]*claim{}, allWritten: make(chan struct{}, 1), counted: map[string]counted{}, defined: map[string]defined{},
		store: &store{
			declared: map[string][16]byte{},
			dialect:  d, cfg: cfg, owner: env.Instance, pipeline: p.Name, file: env.File, streams: map[string]bool{}, adopt: map[string]bool{},
		},
	}
	s.refusals = stage.NewRefusals(s.notices)
	s.progress = stage.NewProgress(env, "rows", "deleted", "superseded", "letters")
	chosen, err := p.Choose(env.Streams)
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	for _, st := range chosen {
		s.tables.set(topics.Processed(p.Name, st.Name), s.tableOf(st))
	}
	for _, st := range p.Streams {
		s.store.streams[st.Name] = true
	}
	for _, name := range cfg.Adopt {
		if !s.store.streams[name] {
			return nil, fmt.Errorf("sink: adopt: the pipeline has no stream %q", name)
		}
		s.store.adopt[name] = true
	}
	s.topics = admin.NewWatch(s.watched())
	s.topics.May = control.Permit(p, env.Kafka)
	s.store.may = s.topics.May
	s.view = control.NewView(s.controlConfig())
	return s, nil
}

// Run writes until ctx is cancelled, and waits for Kafka and the database where they are not there. It returns nil
// after a clean drain, which takes at most Config.Drain, else an error that needs an operator.
func (s *Sink) Run(ctx context.Context) (err error) {
	if len(s.tables.all()) == 0 {
		<-ctx.Done()
		return nil
	}
	defer s.store.close()
	defer s.view.Close()
	if err := s.store.open(); err != nil {
		return fmt.Errorf("sink: %w", err)
	}

	ctx, s.stop = context.WithCancelCause(ctx)
	defer s.stop(nil)
	hard, cancel := stage.Drain(ctx, s.cfg.Drain)
	defer cancel()

	if err := s.prepare(ctx); err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	if ctx.Err() != nil {
		return nil
	}
	s.env.Health.Ready(stageName) // from "starting"
	for range s.cfg.Writers {
		s.writers = append(s.writers, newWriter(s.store))
	}
	s.env.Log.Info("writing", "group", topics.SinkGroup(s.pipeline.Name), "streams", len(s.tables.all()), "database", s.store.dialect.Name(),
		"rows_to", s.store.dialect.Place())
	if n := s.bulkTables(); n > 0 {
		s.env.Log.Info("many rows at once go by LOAD DATA", "tables", n)
	}
	for again := true; again; {
		err = s.participate(ctx, hard)
		again = errors.Is(err, errRecreated) && ctx.Err() == nil
	}
	if hard.Err() != nil && err == nil {
		return fmt.Errorf("sink: not drained within %s: what was not committed will be written by whoever takes over", s.cfg.Drain)
	}
	return err
}

// participate joins the group, writes until ctx is cancelled or the group has to be joined again, and leaves.
func (s *Sink) participate(ctx, hard context.Context) error {
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	if err := s.join(ctx, life); err != nil {
		return fmt.Errorf("sink: new client: %w", err)
	}
	defer s.leave(hard, kill)
	return s.work(ctx, hard)
}

// work is the loop, with what tells of it.
func (s *Sink) work(ctx, hard context.Context) error {
	var telling sync.WaitGroup
	defer telling.Wait()
	told, end := context.WithCancel(ctx)
	defer end()
	telling.Go(func() { s.progress.Run(told, s.lag) })
	telling.Go(func() { s.follow(told) })
	return s.loop(ctx, hard)
}

// lag counts the processed records that are not applied. Kafka's offsets follow the database's within seconds.
func (s *Sink) lag(ctx context.Context, streams ...string) (int64, error) {
	var names []string
	for topic, t := range s.tables.all() {
		if len(streams) == 0 || slices.Contains(streams, t.Stream) {
			names = append(names, topic)
		}
	}
	return admin.Lag(ctx, s.client, topics.SinkGroup(s.pipeline.Name), s.pipeline.Kafka.Partitions, names...)
}

// bulkTables counts the tables that have a way of many rows.
func (s *Sink) bulkTables() (n int) {
	for _, u := range s.store.upserts {
		if u.Bulk != nil {
			n++
		}
	}
	return n
}

// tableOf is the table of a stream.
func (s *Sink) tableOf(st *pipeline.Stream) *rows.Table {
	t := rows.NewTable(st)
	t.Pipeline = s.pipeline.Name
	if line := s.pipeline.Line; line != nil {
		t.Generation = line.Number
	}
	return t
}

// letters names the dead-letter topic of a stream.
func (s *Sink) letters(stream string) string { return topics.DeadLetters(s.pipeline.Name, stream) }
