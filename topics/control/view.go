package control

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// View reads what is decided about the streams of a pipeline. Its methods may be called concurrently. It must be
// closed.
type View struct {
	topic string
	opts  []kgo.Opt

	reading sync.Mutex // the client, and where it is
	cl      *kgo.Client
	at      int64 // the next offset
	looked  bool  // for a decision that was left unfinished

	mu      sync.RWMutex
	streams map[string]*Stream
}

// NewView returns a view that has read nothing yet. It does no I/O.
func NewView(cfg Config) *View {
	return &View{topic: topics.Control(cfg.Pipeline), opts: slices.Clone(cfg.Client), streams: map[string]*Stream{}}
}

// About returns what is decided about a stream at the time of the call: see [View.Refresh].
func About(ctx context.Context, cfg Config, stream string) (*Stream, error) {
	v := NewView(cfg)
	defer v.Close()
	if _, err := v.Refresh(ctx); err != nil {
		return nil, err
	}
	return v.Stream(stream), nil
}

// Close gives back the connections. The view stays as it is.
func (v *View) Close() {
	v.reading.Lock()
	defer v.reading.Unlock()
	v.end()
}

func (v *View) end() {
	if v.cl != nil {
		v.cl.Close()
		v.cl = nil
	}
}

// Stream returns what is decided about a stream, as of the last Refresh. The caller does not change it; it is never
// nil.
func (v *View) Stream(name string) *Stream {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if s := v.streams[name]; s != nil {
		return s
	}
	return &Stream{}
}

// Refresh reads all that was decided before it was called, and returns the streams about which something was, sorted.
// It waits for a decision that is being written; the first time, one is aborted that was left unfinished, by a process
// that died. The error is the brokers', or ctx's. A topic that was recreated is read from its start.
func (v *View) Refresh(ctx context.Context) (changed []string, err error) {
	v.reading.Lock()
	defer v.reading.Unlock()
	if changed, err = v.refresh(ctx); err != nil {
		v.end() // the next one reads all again: it may be another topic
		return nil, fmt.Errorf("read %s: %w", v.topic, err)
	}
	return changed, nil
}

func (v *View) refresh(ctx context.Context) ([]string, error) {
	if v.cl == nil {
		if err := v.begin(); err != nil {
			return nil, err
		}
	}
	if !v.looked {
		// The transactional id is called as the topic. Whoever is not allowed to abort it waits until it times out.
		_ = admin.AbortAbandoned(ctx, v.cl, v.topic, map[int32]string{0: v.topic})
		v.looked = true
	}
	ends, err := kadm.NewClient(v.cl).ListEndOffsets(ctx, v.topic)
	if err != nil {
		return nil, err
	}
	end, ok := ends.Lookup(v.topic, 0)
	if !ok || end.Err != nil {
		return nil, fmt.Errorf("its end is not known: %w", end.Err)
	}
	if end.Offset < v.at {
		v.end() // it was recreated
		return v.refresh(ctx)
	}
	fromStart := v.at == 0
	found, err := v.read(ctx, end.Offset)
	if err != nil {
		return nil, err
	}
	return v.replace(found, fromStart), nil
}

// read reads on up to an offset, and returns what was decided there, by stream.
func (v *View) read(ctx context.Context, end int64) (map[string]*Stream, error) {
	found := map[string]*Stream{}
	for v.at < end {
		fetches := v.cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		for r := range fetches.RecordsAll() {
			v.at = r.Offset + 1
			name, is := strings.CutPrefix(string(r.Key), keyPrefix)
			if !is || r.Attrs.IsControl() {
				continue
			}
			s, err := decode(v.topic, string(r.Key), r.Value)
			if err != nil {
				return nil, err
			}
			found[name] = &s
		}
	}
	return found, nil
}

// replace takes over what was found, and returns the streams that it is about, sorted. If the topic was read again,
// nothing is decided about the others.
func (v *View) replace(found map[string]*Stream, fromStart bool) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	changed := slices.Collect(maps.Keys(found))
	if fromStart {
		for name := range v.streams {
			if found[name] == nil {
				found[name] = &Stream{}
				changed = append(changed, name)
			}
		}
	}
	maps.Copy(v.streams, found)
	slices.Sort(changed)
	return changed
}

// begin has the view read the topic from its start.
func (v *View) begin() (err error) {
	v.at = 0
	v.cl, err = kgo.NewClient(append(slices.Clone(v.opts),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{v.topic: {0: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // so that the position moves past them
		kgo.FetchMaxWait(100*time.Millisecond),
	)...)
	return err
}

// Follow refreshes the view every so often until ctx is cancelled, and calls changed for each stream about which
// something was decided, and failed for each error, which may be nil. A refresh that fails is made again.
func (v *View) Follow(ctx context.Context, every time.Duration, changed func(stream string), failed func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		attempt, cancel := context.WithTimeout(ctx, quiet)
		names, err := v.Refresh(attempt)
		cancel()
		if ctx.Err() != nil {
			return
		}
		failed(err)
		for _, name := range names {
			changed(name)
		}
	}
}
