package processor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor/redo"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// RedoConfig says what a [Redo] processes again. All processes that take part are given the same, but for Memory.
type RedoConfig struct {
	Stream     string
	Generation uint16 // of its rows, higher than that of all that was made before of the records below Cut
	Epoch      uint16 // of the raw topic
	RawTopicID string // of the raw topic, as in control.Epoch
	// Cut is, by partition, where the redo ends. From and To bound the newest record of a key; a partition that is not
	// there is bounded by the start of its log, and by Cut.
	Cut, From, To map[int32]int64
	Keys          []string // raw keys; nil: all
	// Refused are raw offsets of records that the table has refused, by partition, as in control.Redo.
	Refused map[int32][]int64
	Attempt int // of its letters, as in control.Redo
	// records a second, of all that take part; 0: no limit. The log is looked through ten times as fast, and at 10,000
	// at least
	Rate int
	// Letters is of how many keys the newest record may be refused, in what a process has looked through; -1: 100, and
	// one in 100 keys.
	Letters int
	Memory  int64 // for the index of this process, in bytes
	// Begun is asked when a producer was initialised, before it produces: it looks whether the redo is still under way
	// as it was. If it returns [ErrRedoChanged] Run ends; any other error ends the session, and another begins.
	Begun func(context.Context) error
}

// ErrRedoChanged says that a redo was paused, changed or ended.
var ErrRedoChanged = errors.New("the redo was paused, changed or ended")

// DefaultRedoMemory is for about three million keys at a time.
const DefaultRedoMemory = 256 << 20

// TooManyLettersError says that a redo would refuse too much. Nothing of the partitions that were looked through was
// produced by this process.
type TooManyLettersError struct {
	Stream        string
	Letters, Keys int
	Example       string // where and why one of the records is refused
}

func (e *TooManyLettersError) Error() string {
	return fmt.Sprintf("stream %s: the newest records of %d of %d keys are refused, for example: %s", e.Stream, e.Letters, e.Keys, e.Example)
}

// Redo processes raw records of one stream again, beside the processors that process what comes. Any number of
// processes may take part: they are a consumer group of the stream's own, whose committed offsets are the position, and
// what they make is committed with these, as processors do it. A partition is looked through before anything of it is
// produced (package redo); after the death of a process whoever gets the partition looks through it again.
type Redo struct {
	p      *Processor
	cfg    RedoConfig
	stream *stream
	raw    string
	build  chan struct{} // one token for each partition that is looked through at a time

	mu      sync.Mutex
	cl      *kgo.Client // while Run runs
	g       *errgroup.Group
	ctx     context.Context //nolint:containedctx // Run's, for the goroutines that look through a partition
	stop    context.CancelCauseFunc
	indexes map[int32]*index
	told    RedoProgress
	example string
}

// index is what is known of a partition.
type index struct {
	ready chan struct{} // closed when marks is there
	marks *redo.Marks
}

// RedoProgress is what this process has done.
type RedoProgress struct {
	Looking   int // partitions that are looked through, or wait for it
	Keys      int // whose newest record is in the range, in the partitions that were looked through
	Refused   int // of these
	Records   int // to be processed again, there
	Processed int // were, by this process; those of an attempt before do not count
	Passes    int // over the log, for the index, at most
}

// NewRedo compiles the steps of the stream. It does no I/O. env.Streams does not count.
func NewRedo(p *pipeline.Pipeline, cfg Config, env stage.Env, what RedoConfig) (*Redo, error) {
	env.Streams = []string{what.Stream}
	cfg.Rate = what.Rate
	proc, err := New(p, cfg, env)
	if err != nil {
		return nil, err
	}
	raw := topics.RawOf(p, what.Stream)
	r := &Redo{
		p: proc, cfg: what, raw: raw, stream: proc.streams[raw], indexes: map[int32]*index{},
		build: make(chan struct{}, builders(cfg)),
	}
	proc.group = topics.ReplayGroup(p.Name, what.Stream)
	r.stream.generation, r.stream.epoch, r.stream.again, r.stream.marks = what.Generation, what.Epoch, true, r.marksOf
	r.stream.attempt = what.Attempt
	proc.differs = hooks{
		client: []kgo.Opt{kgo.AdjustFetchOffsetsFn(r.assigned)},
		begun:  what.Begun, commit: r.commit, ended: r.ended,
	}
	return r, nil
}

// builders is how many partitions are looked through at a time: with a rate one after the other, each as fast as it
// allows.
func builders(cfg Config) int {
	if cfg.Rate > 0 {
		return 1
	}
	return max(1, cfg.Sessions)
}

// Run processes until ctx is cancelled, and then ends what is in hand; it does not end by itself. It waits for Kafka
// where it is not there. It ends with nil when ctx does, or when RedoConfig.Begun says so. The error is a
// *[TooManyLettersError], or one that needs an operator. It is called once.
func (r *Redo) Run(ctx context.Context) error {
	hard, cancel := stage.Drain(ctx, r.p.cfg.Drain)
	defer cancel()
	cl, err := kgo.NewClient(r.p.env.Kafka...)
	if err != nil {
		return fmt.Errorf("processor: new client: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	g, ctx := errgroup.WithContext(ctx)
	r.mu.Lock()
	r.cl, r.g, r.ctx, r.stop = cl, g, ctx, stop
	r.mu.Unlock()
	for i := range r.p.sessionCount() {
		id := topics.ReplayTransactionalID(r.p.pipeline.Name, r.cfg.Stream, r.p.env.Instance, i)
		g.Go(func() error {
			return r.p.waits.Persist(ctx, r.p.attempts(id), func(ctx context.Context) error {
				err := r.p.runSessions(ctx, hard, adm, id)
				// the start of the log has moved: the next session begins there
				if gone, ok := errors.AsType[*PositionError](err); ok {
					return gone.Err
				}
				if _, fenced := errors.AsType[*TwinError](err); fenced && r.cfg.Begun != nil && errors.Is(r.cfg.Begun(ctx), ErrRedoChanged) {
					err = ErrRedoChanged
				}
				if errors.Is(err, ErrRedoChanged) {
					stop(err)
					return nil
				}
				return err
			})
		})
	}
	g.Go(func() error {
		r.p.rate.count(ctx, adm, r.p.group, r.left)
		return nil
	})
	err = g.Wait()
	if letters, ok := errors.AsType[*TooManyLettersError](context.Cause(ctx)); ok {
		return letters
	}
	return err
}

// left tells of partitions whether not all was processed again.
func (r *Redo) left(ctx context.Context) (func(int32) bool, error) {
	committed, err := r.Committed(ctx)
	return func(partition int32) bool { return committed[partition] < r.cfg.Cut[partition] }, err
}

// Progress tells how far this process is. It may be called concurrently.
func (r *Redo) Progress() RedoProgress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told
}

// marksOf are those of a partition, which was looked through before it was read.
func (r *Redo) marksOf(partition int32) *redo.Marks {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.indexes[partition].marks
}

// assigned has partitions be looked through, and says where each goes on. It is called by the client, which heartbeats
// meanwhile; ctx ends when the group assigns its partitions again, and the looking goes on.
func (r *Redo) assigned(ctx context.Context, at map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	if len(at[r.raw]) == 0 {
		return at, nil
	}
	partitions := slices.Sorted(maps.Keys(at[r.raw]))
	found := map[int32]*redo.Marks{}
	for _, partition := range partitions {
		r.index(partition)
	}
	for _, partition := range partitions {
		x := r.index(partition)
		select {
		case <-x.ready:
			found[partition] = x.marks
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	committed, err := r.Committed(ctx)
	if err != nil {
		return nil, err
	}
	starts, err := kadm.NewClient(r.cl).ListStartOffsets(ctx, r.raw)
	if err != nil {
		return nil, err
	}
	out := map[int32]kgo.Offset{}
	for _, partition := range partitions {
		start, ok := starts.Lookup(r.raw, partition)
		if !ok || start.Err != nil {
			return nil, fmt.Errorf("%s[%d]: its start is not known: %w", r.raw, partition, start.Err)
		}
		next := max(committed[partition], start.Offset)
		if marked, ok := found[partition].Next(next); ok {
			next = marked
		} else {
			next = max(next, r.cfg.Cut[partition]-1) // so that the end is committed
		}
		out[partition] = kgo.NewOffset().At(next)
	}
	return map[string]map[int32]kgo.Offset{r.raw: out}, nil
}

// Committed returns how far the records of each partition were processed again, as next offsets. Positions of another
// redo do not count.
func (r *Redo) Committed(ctx context.Context) (map[int32]int64, error) {
	return RedoCommitted(ctx, r.cl, r.p.pipeline, r.cfg.Stream, r.cfg.RawTopicID, r.cfg.Generation)
}

// RedoCommitted returns how far a redo has come, by partition, as next raw offsets. It waits for transactions that are
// about to commit.
func RedoCommitted(ctx context.Context, cl *kgo.Client, p *pipeline.Pipeline, stream, rawTopicID string, generation uint16) (map[int32]int64, error) {
	all, err := admin.Cut(ctx, cl, topics.ReplayGroup(p.Name, stream), topics.RawOf(p, stream))
	if err != nil {
		return nil, err
	}
	out := map[int32]int64{}
	for partition, o := range all {
		if at, ours := topics.ParsePosition(o.Metadata); ours && at.RawTopicID == rawTopicID && at.Generation == generation {
			out[partition] = o.At
		}
	}
	return out, nil
}

// commit says of which redo the offsets are.
func (r *Redo) commit(req *kmsg.TxnOffsetCommitRequest) error {
	metadata := topics.Position{RawTopicID: r.cfg.RawTopicID, Generation: r.cfg.Generation, Epoch: r.cfg.Epoch}.Metadata()
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			req.Topics[i].Partitions[j].Metadata = &metadata
		}
	}
	return nil
}

// ended counts, and reads no more of partitions that are through.
func (r *Redo) ended(_ context.Context, s *session) {
	for partition, o := range s.kafka.Client().CommittedOffsets()[r.raw] { // not what was polled: it may have been aborted
		if o.Offset >= r.cfg.Cut[partition] {
			s.kafka.Client().PauseFetchPartitions(map[string][]int32{r.raw: {partition}})
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told.Processed += s.made
}
