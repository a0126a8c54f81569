package replay

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/drive"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Replay looks after redos of one stream. Its methods may be called concurrently, but for Run. It must be closed.
type Replay struct{ *drive.Driver }

// Open makes what a redo of a stream needs. It makes no connection. env.Streams does not count.
func Open(p *pipeline.Pipeline, stream string, env stage.Env) (*Replay, error) {
	d, err := drive.Open(p, stream, env, "replay", needsOperator)
	if err != nil {
		return nil, err
	}
	return &Replay{d}, nil
}

func (r *Replay) raw() string { return topics.RawOf(r.Pipeline, r.Stream.Name) }

// change decides about the redo of a generation, if it is still under way in that state; it reports whether it did.
func (r *Replay) change(ctx context.Context, generation uint16, in control.RedoState, f func(*control.Stream)) (changed bool, err error) {
	_, err = control.Change(ctx, r.Control, r.Stream.Name, func(s *control.Stream) error {
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
	d, err := admin.Topic(ctx, kadm.NewClient(r.Client), r.raw())
	if err != nil {
		return "", err
	}
	if n := int32(len(d.Partitions)); n != r.Pipeline.Kafka.Partitions {
		return "", &partitionsError{r.raw(), n, r.Pipeline.Kafka.Partitions}
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

// ErrRecreated says that the raw topic is not the one that the redo began with.
var ErrRecreated = errors.New("the raw topic was recreated since the replay began, so what it was to process again is gone")

// advised adds to ErrRecreated the command that ends the redo.
func (r *Replay) advised(err error) error {
	if errors.Is(err, ErrRecreated) {
		return fmt.Errorf("stream %s: %w: end it: %s", r.Stream.Name, err, r.command("abort"))
	}
	return err
}

// needsOperator tells what no retry passes.
func needsOperator(err error) bool {
	var partitions *partitionsError
	return errors.As(err, &partitions) || errors.Is(err, ErrRecreated) || drive.NeedsOperator(err)
}
