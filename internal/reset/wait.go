package reset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// Passed is how far the pass after a reset has come.
type Passed struct {
	Slices   int
	Complete int    // slices whose pass has ended
	Doubtful int    // slices whose pass has ended, and something spoke against its being complete
	Asking   string // a slice that is not complete; empty: there is none
	Pages    int64  // of the pass of that slice, so far
}

// told is the least time between two reports of progress in which nothing has changed but pages.
const told = 5 * time.Second

// Await waits until a pass of every slice that began after the reset has ended, and shows no doubt about its being
// complete. progress is called when something has changed.
func Await(ctx context.Context, cfg Config, sweep *control.Sweep, progress func(Passed)) error {
	client, err := cfg.stateReader(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	w := waiting{cfg: cfg, sweep: sweep, cursors: map[string]cursor.Cursor{}, complete: map[string]bool{}}
	var last Passed
	var at time.Time
	for {
		if err := w.poll(ctx, client); err != nil {
			return err
		}
		now := w.passed()
		if last.Pages != now.Pages && time.Since(at) > told || last.withoutPages() != now.withoutPages() {
			at = time.Now()
			progress(now)
		}
		last = now
		if now.Complete == now.Slices {
			return nil
		}
	}
}

// withoutPages is p but for its pages.
func (p Passed) withoutPages() Passed {
	p.Pages = 0
	return p
}

// stateReader reads the stream's partitions of ingest's state from their start.
func (cfg Config) stateReader(ctx context.Context) (*kgo.Client, error) {
	partitions, err := cfg.statePartitions(ctx)
	if err != nil {
		return nil, err
	}
	from := map[int32]kgo.Offset{}
	for _, n := range partitions {
		from[n] = kgo.NewOffset().AtStart()
	}
	return kgo.NewClient(append(slices.Clone(cfg.Control.Client),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topics.IngestState(cfg.Pipeline.Name): from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(500*time.Millisecond))...)
}

// waiting is what is known of the pass.
type waiting struct {
	cfg      Config
	sweep    *control.Sweep
	cursors  map[string]cursor.Cursor
	complete map[string]bool // it was seen to be so: the next pass says nothing of it any more
}

// poll takes in what has come within a second.
func (w *waiting) poll(ctx context.Context, client *kgo.Client) error {
	poll, cancel := context.WithTimeout(ctx, time.Second)
	fetches := client.PollFetches(poll)
	cancel()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("read %s: %w", topics.IngestState(w.cfg.Pipeline.Name), err)
	}
	for r := range fetches.RecordsAll() {
		if err := w.note(string(r.Key), r.Value); err != nil {
			return err
		}
	}
	return nil
}

func (w *waiting) note(key string, value []byte) error {
	if strings.ContainsRune(key, 0) || !strings.HasPrefix(key, w.cfg.Stream.Name+"/") {
		return nil
	}
	if value == nil {
		if w.cfg.child() { // its record was deleted
			delete(w.cursors, key)
		}
		return nil
	}
	c, err := cursor.Decode(key, value)
	if err != nil {
		return err
	}
	w.cursors[key] = c
	w.complete[key] = c.Pass > w.sweep.Pass && (w.complete[key] || c.Complete(w.sweep.Pass))
	return nil
}

// keys are those of the slices that are waited for.
func (w *waiting) keys() []string {
	var keys []string
	for _, name := range w.cfg.Slices() {
		keys = append(keys, cursor.Key(w.cfg.Stream.Name, name))
	}
	if w.cfg.child() {
		for key, c := range w.cursors {
			if w.cfg.counts(c) {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
	}
	return keys
}

func (w *waiting) passed() Passed {
	keys := w.keys()
	p := Passed{Slices: len(keys)}
	for _, key := range keys {
		c := w.cursors[key]
		switch {
		case w.complete[key]:
			p.Complete++
		case c.Pass > w.sweep.Pass && c.Done && c.Doubt:
			p.Doubtful++
			fallthrough
		default:
			if p.Asking == "" {
				p.Asking = key
				if c.Pass > w.sweep.Pass {
					p.Pages = c.Next.Index
				}
			}
		}
	}
	return p
}
