package reset

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Config says which stream of which pipeline, and how to reach the brokers.
type Config struct {
	Pipeline *pipeline.Pipeline
	Stream   *pipeline.Stream
	Control  control.Config
	Client   *kgo.Client // for questions
	File     string      // the pipeline file, for commands that are told; empty: FILE stands for it
}

// command is one on the stream, for people.
func (cfg Config) command(verb string, flags ...string) string {
	return stage.Env{File: cfg.File}.Command(verb, cfg.Stream.Name, flags...)
}

// Options say what a reset does.
type Options struct {
	Since  *int64 // on the scale of the incremental field; nil: from the beginning
	Sweep  bool   // what the complete pass after it does not show is to be deleted
	Forget bool   // with Sweep: the raw records from before it as well
}

// transactionTimeout bounds how long readers wait for a process that died in the middle.
const transactionTimeout = 15 * time.Second

// quiet is how long brokers that do not answer are waited for.
const quiet = 30 * time.Second

// claims is how many partitions are claimed at a time.
const claims = 8

// child reports whether the slices of the stream are made from the records of another one, so that the state alone
// tells which there are.
func (cfg Config) child() bool { return cfg.Stream.Ingest.ForEach != nil }

// Slices are the names of the slices of a stream in the pipeline file; one, named "", if it is not cut; none of a
// child, see [Cursors].
func (cfg Config) Slices() []string { return cfg.Stream.Ingest.SliceNames() }

// counts reports whether a cursor is of a slice as the stream is cut by now.
func (cfg Config) counts(c cursor.Cursor) bool {
	return !cfg.child() || c.Child != nil && !c.Child.Gone
}

// Cursors reads the positions of the stream that were committed, by the key of the slice; also of slices that are no
// longer in the file.
func Cursors(ctx context.Context, cfg Config) (map[string]cursor.Cursor, error) {
	found := map[string][]byte{}
	err := admin.Read(ctx, cfg.Control.Client, topics.IngestState(cfg.Pipeline.Name), func(r *kgo.Record) {
		key := string(r.Key) // one with a NUL is what a slice remembers
		if strings.ContainsRune(key, 0) || !strings.HasPrefix(key, cfg.Stream.Name+"/") {
			return
		}
		if delete(found, key); r.Value != nil {
			found[key] = slices.Clone(r.Value)
		}
	})
	if err != nil {
		return nil, err
	}
	out := map[string]cursor.Cursor{}
	for key, value := range found {
		c, err := cursor.Decode(key, value)
		if err != nil {
			return nil, err
		}
		if cfg.counts(c) {
			out[key] = c
		}
	}
	return out, nil
}

// statePartitions are the partitions of ingest's state that have a slice of the stream.
func (cfg Config) statePartitions(ctx context.Context) ([]int32, error) {
	if cfg.child() {
		return slices.Sorted(maps.Keys(cfg.feeds())), nil
	}
	known, err := Cursors(ctx, cfg)
	if err != nil {
		return nil, err
	}
	all := map[int32]bool{}
	for _, name := range cfg.Slices() {
		all[statePartition(cursor.Key(cfg.Stream.Name, name))] = true
	}
	for key := range known {
		all[statePartition(key)] = true
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// AbortAbandoned aborts what a reset of the stream has left open which died: else the positions could be read only once
// that has timed out. It is for resets that are not done: an ingest whose transaction is open for long is fenced, too.
func AbortAbandoned(ctx context.Context, cfg Config) error {
	ids := map[int32]string{}
	for n := range cfg.feeds() {
		if cfg.child() {
			ids[n] = topics.IngestTransactionalID(cfg.Pipeline.Name, n)
		}
	}
	for _, name := range cfg.Slices() {
		n := statePartition(cursor.Key(cfg.Stream.Name, name))
		ids[n] = topics.IngestTransactionalID(cfg.Pipeline.Name, n)
	}
	return admin.AbortAbandoned(ctx, cfg.Client, topics.IngestState(cfg.Pipeline.Name), ids)
}

// feeds are the partitions of ingest's state that have children of the stream, and the partitions of its parent's raw
// topic that they are of.
func (cfg Config) feeds() map[int32][]int32 {
	all := map[int32][]int32{}
	for n := range cfg.Pipeline.Kafka.Partitions {
		at := topics.FeedPartition(cfg.Stream.Name, n)
		all[at] = append(all[at], n)
	}
	return all
}

func statePartition(key string) int32 { return topics.Partition([]byte(key), topics.StatePartitions) }

// Run sets the positions of the stream back. When it returns nil, that is done and durable, and running ingests begin
// within seconds. After an error it is run again.
func Run(ctx context.Context, cfg Config, o Options) error {
	if cfg.Stream.Ingest.Webhook != nil {
		return fmt.Errorf("the stream %s is delivered by a webhook: it has no position that could be set back, and nothing tells what is gone; "+
			"what was delivered is processed again with `millrace replay`", cfg.Stream.Name)
	}
	if cfg.Stream.Ingest.Events != nil && o.Sweep {
		return fmt.Errorf("the stream %s is one of events: it has no pass that shows everything, so nothing tells what is gone", cfg.Stream.Name)
	}
	if err := decideReset(ctx, cfg, o); err != nil {
		return err
	}
	var done *control.Sweep
	// an ingest that has not yet read that it is to wait takes over in turn
	err := control.Persist(ctx, func() (err error) {
		if err := AbortAbandoned(ctx, cfg); err != nil { // also what the attempt before has left open
			return err
		}
		done, err = setBack(ctx, cfg, o)
		return err
	})
	if err != nil {
		return err
	}
	_, err = control.Change(ctx, cfg.Control, cfg.Stream.Name, func(s *control.Stream) error {
		if err := s.GrowRefuses(); err != nil { // it began when another reset had ended, while this one went on
			return err
		}
		s.Reset.Done = true
		if o.Sweep {
			done.At, done.By, done.Forget = s.Reset.At, s.Reset.By, o.Forget
			s.Sweep = done
		}
		return nil
	})
	return err
}

// decideReset decides that the stream is set back, so that nothing is fetched until that is done.
func decideReset(ctx context.Context, cfg Config, o Options) error {
	_, err := control.Change(ctx, cfg.Control, cfg.Stream.Name, func(s *control.Stream) error {
		if s.SweptBy() != "" {
			return fmt.Errorf("keys are being deleted by a sweep: run it to its end first: `%s`", cfg.command("reset", "--sweep"))
		}
		if err := s.GrowRefuses(); err != nil {
			return err
		}
		if s.Redo != nil && o.Forget {
			return fmt.Errorf("raw records are being replayed: let the replay end first, `%s`, or end it, `%s`", cfg.command("replay"), cfg.command("replay abort"))
		}
		s.Reset = control.Reset{Number: s.Reset.Number + 1, At: now(), By: cfg.Control.Who, Fenced: s.Reset.Fenced + 1}
		s.Sweep = nil
		return nil
	})
	return err
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// setBack claims all partitions, so that nothing of an earlier pass can be committed any more; notes where the raw
// topic ends; and replaces the cursors.
func setBack(ctx context.Context, cfg Config, o Options) (*control.Sweep, error) {
	all, err := cfg.claimAll(ctx)
	defer func() {
		for _, c := range all {
			if c != nil {
				c.log.Close()
			}
		}
	}()
	if err != nil {
		return nil, err
	}
	sweep := &control.Sweep{}
	for _, c := range all {
		for _, cursor := range c.cursors {
			sweep.Pass = max(sweep.Pass, cursor.Pass)
		}
	}
	if sweep.RawTopicID, sweep.From, err = cfg.rawEnds(ctx); err != nil {
		return nil, err
	}
	for _, c := range all {
		if err := c.replace(ctx, cfg, sweep.Pass, o); err != nil {
			return nil, err
		}
	}
	return sweep, nil
}

// claimAll claims the stream's partitions of ingest's state. With an error, too, what is not nil must be closed.
func (cfg Config) claimAll(ctx context.Context) ([]*claim, error) {
	partitions, err := cfg.statePartitions(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]*claim, len(partitions))
	var mu sync.Mutex
	group, claiming := errgroup.WithContext(ctx)
	group.SetLimit(claims)
	for i, n := range partitions {
		group.Go(func() error {
			c, err := cfg.claim(claiming, n)
			mu.Lock()
			defer mu.Unlock()
			all[i] = c
			return err
		})
	}
	return all, group.Wait()
}

// rawEnds returns the id of the raw topic, and its high watermarks.
func (cfg Config) rawEnds(ctx context.Context) (id string, ends map[int32]int64, err error) {
	topic := topics.Raw(cfg.Pipeline.Name, cfg.Stream.Name)
	if id, err = cfg.rawID(ctx); err != nil {
		return "", nil, err
	}
	ends, err = admin.Ends(ctx, kadm.NewClient(cfg.Client), topic)
	return id, ends, err
}

// rawID returns the id of the raw topic, as the brokers have it now: what kadm knows may be some seconds old.
func (cfg Config) rawID(ctx context.Context) (string, error) {
	topic := topics.Raw(cfg.Pipeline.Name, cfg.Stream.Name)
	req := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	req.Topics = append(req.Topics, asked)
	resp, err := req.RequestWith(ctx, cfg.Client)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return "", fmt.Errorf("topic %s is not there: the pipeline has not run yet, or under another name", topic)
	}
	if err != nil {
		return "", fmt.Errorf("topic %s: %w", topic, err)
	}
	return hex.EncodeToString(resp.Topics[0].TopicID[:]), nil
}
