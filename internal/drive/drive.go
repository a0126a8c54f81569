// Package drive is what a command holds that drives one stream through states which the control topic remembers, such
// as a replay, or a line that is built beside the live one. Any number of processes may drive the same one: what is
// decided is read, and never remembered.
package drive

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// The servers that a driver waits for, as [Driver.Persist] takes them.
const (
	Kafka    = "Kafka"
	Database = "the database"
)

// Driver reaches what concerns one stream: what is decided about it, its topics and its table. Its fields do not
// change, and its methods may be called concurrently. It must be closed.
type Driver struct {
	Pipeline *pipeline.Pipeline
	Stream   *pipeline.Stream // of it
	Env      stage.Env        // its Streams are this stream alone
	Waits    *stage.Waits
	Control  control.Config
	View     *control.View
	Client   *kgo.Client
	DB       *sink.Admin

	permanent func(error) bool
}

// Open makes what it takes to drive a stream. It makes no connection. env.Streams does not count. waits is who waits,
// as in [stage.NewWaits]; permanent tells the errors that no retry passes, as [NeedsOperator] does.
func Open(p *pipeline.Pipeline, stream string, env stage.Env, waits string, permanent func(error) bool) (*Driver, error) {
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
	return &Driver{
		Pipeline: p, Stream: chosen[0], Env: env, Waits: stage.NewWaits(waits, env), Control: cfg, View: control.NewView(cfg), Client: cl, DB: db,
		permanent: permanent,
	}, nil
}

// Close gives back the connections.
func (d *Driver) Close() {
	d.View.Close()
	d.Client.Close()
	d.DB.Close()
}

// Decided reads what is decided about the stream now.
func (d *Driver) Decided(ctx context.Context) (*control.Stream, error) {
	if _, err := d.View.Refresh(ctx); err != nil {
		return nil, err
	}
	return d.View.Stream(d.Stream.Name), nil
}

// Persist calls do, for at most a minute each time, until it succeeds, and waits for servers that are away: see
// [stage.Waits.Persist]. The error is a permanent one, or ctx's.
func (d *Driver) Persist(ctx context.Context, server, who string, do func(context.Context) error) error {
	err := d.Waits.Persist(ctx, stage.Attempts{Server: server, Who: who, Timeout: time.Minute, Permanent: d.permanent}, do)
	return cmp.Or(err, ctx.Err())
}

// NeedsOperator tells the errors of the brokers and the database that no retry passes.
func NeedsOperator(err error) bool {
	var owner *sink.OwnerError
	var refused *dialect.RefusedError
	var defect *dialect.DefectError
	var server *dialect.ServerError
	return errors.As(err, &owner) || errors.As(err, &refused) || errors.As(err, &defect) || errors.As(err, &server) || admin.NeedsOperator(err)
}
