package replay

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Replay looks after redos of one stream. Its methods may be called concurrently, but for Run. It must be closed.
type Replay struct {
	pipeline *pipeline.Pipeline
	stream   *pipeline.Stream
	env      stage.Env
	waits    *stage.Waits
	control  control.Config
	view     *control.View
	cl       *kgo.Client
	db       *sink.Admin
}

// Open makes what a redo of a stream needs. It makes no connection. env.Streams does not count.
func Open(p *pipeline.Pipeline, stream string, env stage.Env) (*Replay, error) {
	chosen, err := p.Choose([]string{stream})
	if err != nil {
		return nil, err
	}
	env.Streams = []string{stream}
	cl, err := kgo.NewClient(env.Kafka...)
	if err != nil {
		return nil, err
	}
	db, err := sink.OpenAdmin(p)
	if err != nil {
		cl.Close()
		return nil, err
	}
	cfg := control.Config{Pipeline: p.Name, Who: env.Instance, Client: env.Kafka}
	return &Replay{
		pipeline: p, stream: chosen[0], env: env, waits: stage.NewWaits("replay", env),
		control: cfg, view: control.NewView(cfg), cl: cl, db: db,
	}, nil
}

// Close gives back the connections.
func (r *Replay) Close() {
	r.view.Close()
	r.cl.Close()
	r.db.Close()
}

func (r *Replay) raw() string { return topics.RawOf(r.pipeline, r.stream.Name) }

// decided reads what is decided about the stream now.
func (r *Replay) decided(ctx context.Context) (*control.Stream, error) {
	if _, err := r.view.Refresh(ctx); err != nil {
		return nil, err
	}
	return r.view.Stream(r.stream.Name), nil
}

// change decides about the redo of a generation, if it is still under way in that state; it reports whether it did.
func (r *Replay) change(ctx context.Context, generation uint16, in control.RedoState, f func(*control.Stream)) (changed bool, err error) {
	_, err = control.Change(ctx, r.control, r.stream.Name, func(s *control.Stream) error {
		changed = s.Redo != nil && s.Redo.Generation == generation && s.Redo.State == in
		if !changed {
			return control.ErrUnchanged
		}
		f(s)
		return nil
	})
	return changed, err
}

// rawTopicID is that of the topic that is there now.
func (r *Replay) rawTopicID(ctx context.Context) (string, error) {
	found, err := kadm.NewClient(r.cl).ListTopics(kadm.WithAuthorizedOps(ctx), r.raw()) // which is not answered from the client's cache
	if err != nil {
		return "", err
	}
	d, ok := found[r.raw()]
	if !ok {
		d.Err = kerr.UnknownTopicOrPartition
	}
	if d.Err != nil {
		return "", fmt.Errorf("topic %s: %w", r.raw(), d.Err)
	}
	if n := int32(len(d.Partitions)); n != r.pipeline.Kafka.Partitions {
		return "", &partitionsError{r.raw(), n, r.pipeline.Kafka.Partitions}
	}
	return hex.EncodeToString(d.ID[:]), nil
}

// partitionsError says that the raw topic has another number of partitions than the file: some would be left out.
type partitionsError struct {
	topic    string
	is, file int32
}

func (e *partitionsError) Error() string {
	return fmt.Sprintf("topic %s has %d partitions, and the file says %d: set kafka.partitions: %d", e.topic, e.is, e.file, e.is)
}

// ErrMadeAnew says that the raw topic is not the one that the redo began with.
var ErrMadeAnew = errors.New("the raw topic was made anew since the replay began, so what it was to process again is gone: abort it")

// persist calls do until it succeeds, and waits for servers that are away.
func (r *Replay) persist(ctx context.Context, server, who string, do func(context.Context) error) error {
	err := r.waits.Persist(ctx, stage.Attempts{Server: server, Who: who, Timeout: time.Minute, Permanent: needsOperator}, do)
	if err == nil {
		err = ctx.Err()
	}
	return err
}

const (
	kafka    = "Kafka"
	database = "the database"
)

// needsOperator tells what no retry passes.
func needsOperator(err error) bool {
	var owner *sink.OwnerError
	var partitions *partitionsError
	var refused *dialect.RefusedError
	var defect *dialect.DefectError
	var server *dialect.ServerError
	return errors.As(err, &owner) || errors.As(err, &refused) || errors.As(err, &defect) || errors.As(err, &server) ||
		errors.As(err, &partitions) || errors.Is(err, ErrMadeAnew) || admin.NeedsOperator(err)
}
