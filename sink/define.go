package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// Rows are written by the columns of the logic that is live, which may be another one than the file's: a file that is
// older, or newer than what processors have registered. Before a record of a generation that is not known is written,
// what is decided is read: processors register a generation before they use it.

// tables are the tables of the streams, by processed topic. The zero value has none. They may be used concurrently; a
// table that changes is another *rows.Table.
type tables struct {
	mu      sync.RWMutex
	byTopic map[string]*rows.Table
	known   map[string]uint16 // the highest generation of which it is known whether it is live
	wanted  map[string]uint16 // the highest that records had
}

func (t *tables) of(topic string) *rows.Table {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byTopic[topic]
}

// all is a copy.
func (t *tables) all() map[string]*rows.Table {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return maps.Clone(t.byTopic)
}

func (t *tables) set(topic string, table *rows.Table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byTopic == nil {
		t.byTopic, t.known, t.wanted = map[string]*rows.Table{}, map[string]uint16{}, map[string]uint16{}
	}
	t.byTopic[topic] = table
}

// knows is up to which generation records of a topic can be written.
func (t *tables) knows(topic string) uint16 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return max(t.known[topic], 1)
}

func (t *tables) learn(topic string, generation uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[topic] = max(t.known[topic], generation)
}

// want notes that there are records of a generation.
func (t *tables) want(topic string, generation uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wanted[topic] = max(t.wanted[topic], generation)
}

func (t *tables) wants(topic string) uint16 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.wanted[topic]
}

// errNewer has a stream wait until what is decided about it is known, or its new columns are.
var errNewer = errors.New("its records are of a generation that is not known here yet")

// The kinds of the notices about a file whose logic is not the one that is live.
const oldFileNotice = "old_file"

// defined is by which logic a table is written.
type defined struct {
	generation uint16
	logic      string
	table      string // its name, where it is not the logic's
	err        error  // why it cannot be written
}

// learn reads what is decided, if there are records of a generation that is not known.
func (s *Sink) learn(ctx context.Context, topic string) error {
	wanted := s.tables.wants(topic)
	if wanted <= s.tables.knows(topic) {
		return nil
	}
	if err := s.refresh(ctx); err != nil {
		return err
	}
	s.tables.learn(topic, wanted) // if it is still not known, nobody will tell
	return nil
}

// define has a table written by the logic that is live. It is tend's.
func (s *Sink) define(topic string) {
	of, t := s.decided(topic), s.tables.of(topic)
	if n := len(of.Generations); n > 0 {
		defer s.tables.learn(topic, of.Generations[n-1].Number)
	}
	live := of.Generation(of.Live)
	if live == nil {
		return
	}
	file := *s.pipeline.Stream(t.Stream)
	if s.pipeline.Line == nil {
		file.Sink.As = of.LineTable(control.BaseLine)
	}
	is := defined{live.Number, live.Logic, file.Sink.As, nil}
	if was := s.defined[topic]; was.generation == is.generation && was.logic == is.logic && was.table == is.table {
		return
	}
	mine, _ := file.Logic()
	by := &file
	if live.Logic != mine && live.Definition != "" {
		if by, is.err = file.Defined(live.Definition); is.err != nil {
			by = &file
		}
	}
	s.defined[topic] = is
	s.tellFile(t, of, mine)
	s.redefine(topic, s.tableOf(by), is.err)
}

// tellFile tells whether the file's logic is live.
func (s *Sink) tellFile(t *rows.Table, of *control.Stream, mine string) {
	live := of.Live
	other := of.Generation(live).Logic != mine
	switch {
	case other && s.pipeline.Line == nil && of.Keeps(mine): // the processors tell
	case other && of.Knows(mine):
		s.notices.Raise(t.Stream, oldFileNotice, fmt.Sprintf("this file has an older logic than generation %d, which is live: rows are written by the columns of that one. "+
			"`%s` makes the file's logic live again", live, s.store.command("replay", t.Stream)))
		return
	case other:
		s.env.Log.Info("the file's logic is not live: rows are written by the columns of the one that is, until a processor has registered the file's",
			"stream", t.Stream, "generation", live)
	}
	s.notices.Clear(t.Stream, oldFileNotice)
}

// redefine has the claims of a topic begin again with a table, if it is another one, or wait because of err.
func (s *Sink) redefine(topic string, t *rows.Table, err error) {
	if err == nil && reflect.DeepEqual(t, s.tables.of(topic)) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.park(topic, err)
		return
	}
	s.store.upserts[t] = s.store.dialect.Upsert(t)
	if s.tables.set(topic, t); s.client != nil {
		s.park(topic, errNewer)
		s.parking.soon(topic)
	}
}

// newest is the highest generation of records.
func newest(records []*kgo.Record) (generation uint16) {
	for _, r := range records {
		for i := range r.Headers {
			if h := &r.Headers[i]; h.Key == topics.HeaderVersion && len(h.Value) == topics.VersionSize {
				generation = max(generation, topics.Version(h.Value).Generation())
				break
			}
		}
	}
	return generation
}
