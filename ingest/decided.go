package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics/control"
)

// decisions is what was decided about the streams while they run, by the control topic: which are paused, and which
// were reset. It may be used concurrently.
type decisions struct {
	view *control.View
	in   *Ingest

	mu     sync.Mutex
	gates  map[string]*gate    // by stream
	resets map[string]position // what was known last, by stream
	// by partition of the state topic: closed when its positions were set back, and replaced
	again map[int32]chan struct{}
}

// position is what a decision about a stream changes in how its positions are to be read.
type position struct {
	reset   uint32
	done    bool
	fenced  uint32
	allowed string // what may be deleted of a child stream, whose slices are read for it; empty: nothing
}

const (
	decisionsEvery = 2 * time.Second
	noticePaused   = "paused"
)

func newDecisions(in *Ingest) *decisions {
	d := &decisions{
		view:  control.NewView(control.Config{Pipeline: in.p.Name, Who: in.env.Instance, Client: in.env.Kafka}),
		in:    in,
		gates: map[string]*gate{}, resets: map[string]position{}, again: map[int32]chan struct{}{},
	}
	for i := range in.p.Streams {
		d.gates[in.p.Streams[i].Name] = newGate()
	}
	for n := range in.byPartition {
		d.again[n] = make(chan struct{})
	}
	return d
}

// read takes in what was decided until now.
func (d *decisions) read(ctx context.Context) error {
	changed, err := d.view.Refresh(ctx)
	for _, stream := range changed {
		d.apply(stream)
	}
	return err
}

// follow takes in what is decided, until ctx ends.
func (d *decisions) follow(ctx context.Context) {
	const who = "control"
	defer d.in.waits.Drop(who)
	d.view.Follow(ctx, decisionsEvery, d.apply, func(err error) {
		if err != nil {
			d.in.waits.On(kafka, who, err)
			return
		}
		d.in.waits.Done(kafka, who)
	})
}

// apply puts what was decided about a stream into effect.
func (d *decisions) apply(stream string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	gate := d.gates[stream]
	if gate == nil {
		return // another file's
	}
	s := d.view.Stream(stream)
	fetches := s.Fetches() && s.Growing("ingest", d.in.p.Kafka.Partitions) == ""
	if changed := gate.set(!fetches); changed && fetches {
		d.in.env.Log.Info("the stream continues: it is no longer paused", "stream", stream)
	}
	if text := d.why(stream, s); text != "" {
		d.in.notices.Raise(stream, noticePaused, text)
	} else {
		d.in.notices.Clear(stream, noticePaused)
	}
	before, now := d.resets[stream], position{s.Reset.Number, s.Reset.Done, s.Reset.Fenced, d.allowed(stream, s)}
	if before == now {
		return
	}
	d.resets[stream] = now
	if s.Reset.Done && (before.reset != now.reset || !before.done) {
		d.in.env.Log.Info("the stream was reset: its positions are read again", "stream", stream, "by", s.Reset.By)
	}
	d.claimAgain(stream)
}

// allowed is what a person has allowed to delete of a child stream.
func (d *decisions) allowed(stream string, s *control.Stream) string {
	if of := d.in.p.Stream(stream); of == nil || of.Ingest.ForEach == nil || len(s.Deletes) == 0 {
		return ""
	}
	return fmt.Sprint(s.Deletes)
}

// lookAgain has the partitions with slices of a stream claimed again.
func (d *decisions) lookAgain(stream string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.claimAgain(stream)
}

// claimAgain is lookAgain; d.mu is held.
func (d *decisions) claimAgain(stream string) {
	for n, slices := range d.in.byPartition {
		if holds(slices, stream) {
			close(d.again[n])
			d.again[n] = make(chan struct{})
		}
	}
}

// why says why a stream stands; empty: it does not.
func (d *decisions) why(stream string, s *control.Stream) string {
	file := d.in.env.File
	if file == "" {
		file = "FILE"
	}
	if p, ok := s.Paused["ingest"]; ok {
		text := "paused since " + p.At.UTC().Format(time.RFC3339)
		if p.By != "" {
			text += " by " + p.By
		}
		if p.Why != "" {
			text += ": " + p.Why
		}
		return text + fmt.Sprintf("; `millrace resume %s %s` lets it continue", file, stream)
	}
	if s.SweptBy() != "" {
		return fmt.Sprintf("nothing is fetched while keys that the API shows no more are deleted; if `millrace reset %s %s --sweep` "+
			"has died meanwhile, run it again", file, stream)
	}
	return strings.ReplaceAll(s.Growing("ingest", d.in.p.Kafka.Partitions), " FILE ", " "+file+" ")
}

// changed returns what is closed when the positions in a partition are set back.
func (d *decisions) changed(partition int32) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.again[partition]
}

// yield waits while the positions in a partition are being written by a reset, which would be fenced by a claim.
func (d *decisions) yield(ctx context.Context, partition int32) error {
	for d.any(partition, func(s *control.Stream) bool { return s.Reset.UnderWay() }) {
		if err := stage.Sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
		if err := d.read(ctx); err != nil {
			return err
		}
	}
	return nil
}

// excuses reports whether it was a reset or a sweep that has fenced the owner of a partition, so that this process
// claims it again at once.
func (d *decisions) excuses(ctx context.Context, partition int32, err error, changed <-chan struct{}) bool {
	if _, fenced := errors.AsType[*changelog.FencedError](err); !fenced || expelled(err) {
		return false
	}
	if d.read(ctx) != nil {
		return false
	}
	select {
	case <-changed:
		return true
	default:
	}
	return d.any(partition, func(s *control.Stream) bool { return s.Reset.UnderWay() || s.SweptBy() != "" || s.Grow != nil })
}

// any reports whether it holds for a stream with a slice in a partition.
func (d *decisions) any(partition int32, holds func(*control.Stream) bool) bool {
	for _, s := range d.in.byPartition[partition] {
		if holds(d.view.Stream(s.stream.Name)) {
			return true
		}
	}
	return false
}

func holds(slices []sliceRef, stream string) bool {
	for _, s := range slices {
		if s.stream.Name == stream {
			return true
		}
	}
	return false
}
