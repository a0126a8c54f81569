package sink

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// recreatedTopic is the bounds of a topic of the same name with another id.
func recreatedTopic(id byte) bounds { return bounds{topicID: [16]byte{id}, start: 0, end: 1 << 40} }

// take claims the partition for a topic of that id, as a process that has just started.
func (f *fixture) take(id byte) error {
	f.t.Helper()
	f.store.held = nil
	c := &claim{topic: f.claim.topic, table: f.table}
	if err := f.store.claimOne(f.t.Context(), c, recreatedTopic(id), f.writer.session.ID); err != nil {
		return err
	}
	f.claim, f.offset = c, c.next
	return nil
}

// must is take, where nothing is in the way.
func (f *fixture) must(id byte, epoch uint16, next int64) {
	f.t.Helper()
	if err := f.take(id); err != nil {
		f.t.Fatal(err)
	}
	if f.claim.epoch != epoch || f.claim.next != next {
		f.t.Fatalf("claimed in epoch %d at %d, want epoch %d at %d", f.claim.epoch, f.claim.next, epoch, next)
	}
}

// other is a sink of another pipeline on the same table and in the same database.
func (f *fixture) other(name, stream string, adopt bool) *fixture {
	f.t.Helper()
	g := *f
	named := *f.pipeline
	named.Name = name
	g.pipeline = &named
	table := *f.table
	table.Stream = stream
	g.table = &table
	g.store = &store{
		dialect: f.store.dialect, cfg: f.store.cfg, owner: name, pipeline: name,
		adopt: map[string]bool{stream: adopt}, streams: map[string]bool{stream: true},
	}
	if err := g.store.open(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(g.store.close)
	if err := g.store.prepare(f.t.Context(), map[string]*rows.Table{topics.Processed(name, stream): g.table}); err != nil {
		f.t.Fatal(err)
	}
	g.writer = newWriter(g.store)
	f.t.Cleanup(g.writer.disconnect)
	if err := g.writer.connect(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	g.claim, g.offset = &claim{topic: topics.Processed(name, stream), table: g.table}, 0
	return &g
}

// fenced applies a batch of which nothing may be written.
func (f *fixture) fenced(events ...event) {
	f.t.Helper()
	var fenced *FencedError
	if _, err := f.writer.apply(f.t.Context(), newBatch(rows.NewDecoder(), f.job(events...))); !errors.As(err, &fenced) {
		f.t.Errorf("%v, want a FencedError", err)
	}
}

func wantOwnerError(t *testing.T, err error, texts ...string) {
	t.Helper()
	if _, ok := errors.AsType[*OwnerError](err); !ok {
		t.Errorf("%v, want an OwnerError", err)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
}

// owners is what every database must do about whose a table is, and about its epoch.
func owners(t *testing.T, open func(t *testing.T) *pipeline.Pipeline) {
	t.Run("ATopicRecreatedReplacesTheRows", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.apply(event{100, 0, "a", row(1)}, event{101, 0, "b", row(1)}, event{102, 0, "gone", row(1)}, event{103, 0, "c", row(1)})
		f.apply(event{104, 0, "c", nil}, event{90, 0, "stays", row(9)})
		old := *f
		f.must(2, 1, 0)
		old.fenced(event{105, 0, "a", row(666)})
		f.apply(event{0, 0, "a", row(2)}, event{1, 0, "b", nil}, event{2, 0, "c", row(2)})
		f.want(map[string]string{"a": "2", "c": "2", "gone": "1", "stays": "9"})
		f.apply(event{1, 0, "b", row(666)}) // late, and removed since
		f.want(map[string]string{"a": "2", "c": "2", "gone": "1", "stays": "9"})
		f.must(2, 1, 4) // and once only
		f.must(3, 2, 0)
		f.apply(event{0, 0, "a", row(3)})
		f.want(map[string]string{"a": "3", "c": "2", "gone": "1", "stays": "9"})
	})
	t.Run("AllTopicsRecreatedAfterTheRawTopicWas", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.apply(event{100, 0, "a", row(1)})
		f.epoch = 3
		f.apply(event{0, 0, "a", row(2)})
		f.epoch = 0 // who numbered them is gone too
		f.must(2, 4, 0)
		f.apply(event{0, 0, "a", row(3)})
		f.want(map[string]string{"a": "3"})
		f.epoch = 2
		f.apply(event{0, 0, "a", row(4)})
		f.epoch = 0
		g := f.other("q", "s", true)
		g.must(3, 7, 0)
		g.apply(event{0, 0, "a", row(5)})
		f.want(map[string]string{"a": "5"})
	})
	t.Run("TheSourceStillDecidesFirst", func(t *testing.T) {
		f := newFixture(t, open(t), true)
		f.apply(event{100, 7, "a", row(7)}, event{101, 7, "b", row(7)})
		f.must(2, 1, 0)
		f.apply(event{0, 6, "a", row(6)}, event{1, 7, "b", row(70)})
		f.want(map[string]string{"a": "7", "b": "70"})
	})
	t.Run("PartitionsBeginAgainOneByOne", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.claims(4)
		if _, err := f.store.db.Exec("UPDATE millrace_offsets SET next_offset = 50"); err != nil {
			t.Fatal(err)
		}
		claimed := func(partitions ...int32) (bids []*bid) {
			for _, p := range partitions {
				bids = append(bids, &bid{claim: &claim{topic: topic, partition: p, table: f.table}, bounds: recreatedTopic(2), connection: 1})
			}
			if err := f.store.claim(t.Context(), bids); err != nil {
				t.Fatal(err)
			}
			return bids
		}
		first := claimed(0, 1)
		second := claimed(2, 3)
		for _, b := range append(first, second...) {
			if b.lost != nil || b.epoch != 1 || b.next != 0 || b.polled != 0 || !b.restarts || b.begins() == "" {
				t.Errorf("%s: %v, epoch %d at %d, again %t", b, b.lost, b.epoch, b.next, b.restarts)
			}
		}
		if first[0].stake.why == "" || second[0].stake.why != "" {
			t.Errorf("the change is told as %q and %q, want it once", first[0].stake.why, second[0].stake.why)
		}
	})
	t.Run("LettersOfAnEpochHaveIDsOfTheirOwn", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		ids := map[string]bool{}
		for id := range byte(3) {
			f.must(id+1, uint16(id), 0)
			b := newBatch(rows.NewDecoder(), f.job(event{0, 0, "a", map[string]any{"n": "many"}}))
			b.moves[0].changes[0].Record.Headers = nil // not even a version
			for x := range b.refused() {
				ids[topics.LetterID(stageName, topic, x.Epoch, 0, x.Record.Offset)] = true
			}
		}
		if len(ids) != 3 {
			t.Errorf("letters %v, want three", ids)
		}
	})
	t.Run("OfTheSameNameOnOtherBrokers", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		g := f.other("p", "s", false)
		if err := g.take(2); err != nil { // it has just started: the topic may have been recreated
			t.Fatal(err)
		}
		err := f.store.claimOne(t.Context(), &claim{topic: topic, table: f.table}, noLog, f.writer.session.ID)
		wantOwnerError(t, err, "a pipeline of the same name, on other brokers, writes it")
		g.apply(event{0, 0, "a", row(1)})
		f.want(map[string]string{"a": "1"})
	})
	t.Run("AnotherPipelinesTable", func(t *testing.T) { adoption(t, open(t)) })
	t.Run("TablesOfTheVersionBefore", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		forget := func(what ...string) {
			for _, table := range what {
				if _, err := f.store.db.Exec("DELETE FROM " + table); err != nil {
					t.Fatal(err)
				}
			}
		}
		f.apply(event{5, 0, "a", row(1)})
		forget("millrace_owners")
		f.must(1, 0, 1)
		forget("millrace_owners")
		f.must(2, 1, 0)
		f.apply(event{0, 0, "a", row(2)})
		f.want(map[string]string{"a": "2"})
		forget("millrace_owners", "millrace_offsets")
		wantOwnerError(t, f.take(2), "it has rows of a pipeline that is not known", "millrace run FILE --adopt s")
		f.store.adopt = map[string]bool{"s": true}
		f.must(2, 2, 0) // above the rows' own epoch
		f.apply(event{0, 0, "a", row(3)})
		f.want(map[string]string{"a": "3"})
		f.store.adopt = nil
		forget("millrace_owners", "millrace_offsets", "things")
		f.must(7, 0, 0)
		forget("millrace_owners", "millrace_offsets")
		if _, err := f.store.db.Exec("INSERT INTO things (id, _mr_version) VALUES ('user', '')"); err != nil {
			t.Fatal(err)
		}
		f.must(8, 0, 0)
	})
	t.Run("AStreamThatWasRenamed", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		f.apply(event{5, 0, "a", row(1)})
		g := f.other("p", "renamed", false)
		wantOwnerError(t, g.take(2), "the stream s of the pipeline p writes it")
		if _, err := f.store.db.Exec("DELETE FROM things"); err != nil {
			t.Fatal(err)
		}
		g.must(2, 1, 0)
	})
	t.Run("APositionThatIsLostBeginsAgain", func(t *testing.T) {
		f := newFixture(t, open(t), false)
		a := f.admin()
		f.apply(event{10, 0, "a", row(0)}, event{11, 0, "a", row(1)})
		if got, err := a.Applied(t.Context(), "s", &control.Stream{}); err != nil || len(got) != 1 || got[0] != 12 {
			t.Errorf("applied %v, %v; want 12", got, err)
		}
		if err := a.BeginAgain(t.Context(), "s"); err != nil {
			t.Fatal(err)
		}
		f.fenced(event{12, 0, "a", row(666)})
		b := &bid{claim: &claim{topic: topic, table: f.table}, bounds: bounds{topicID: noLog.topicID, start: 7, end: 9}, connection: f.writer.session.ID}
		if err := f.store.claim(t.Context(), []*bid{b}); err != nil || b.lost != nil || b.next != 7 || b.epoch != 1 || b.begins() == "" {
			t.Errorf("%v, %v: at %d in epoch %d, told as %q", err, b.lost, b.next, b.epoch, b.begins())
		}
		f.claim, f.offset = b.claim, 7
		f.apply(event{3, 0, "a", row(3)})
		f.want(map[string]string{"a": "3"})
		if got, err := a.Applied(t.Context(), "s", &control.Stream{}); err != nil || got[0] != 4 {
			t.Errorf("applied %v, %v; want 4", got, err)
		}
		f.must(1, 1, 8) // once
	})
}

// adoption: a second pipeline is refused the table until it adopts it; then the first one is.
func adoption(t *testing.T, p *pipeline.Pipeline) {
	t.Helper()
	f := newFixture(t, p, false)
	f.apply(event{100, 0, "a", row(1)}, event{101, 0, "b", row(1)})
	g := f.other("q", "s", false)
	wantOwnerError(t, g.take(2), "table things: the stream s of the pipeline p writes it", "millrace run FILE --adopt s")
	var n int
	if err := f.store.db.QueryRow("SELECT COUNT(*) FROM millrace_offsets WHERE topic = 'q.s.processed'").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d positions of a pipeline that was refused, %v", n, err)
	}
	f.apply(event{102, 0, "b", row(2)})
	owned := func(f *fixture, whose string) { // as a command finds it
		t.Helper()
		if err := f.admin().Owned(t.Context(), "s"); whose != "" || err != nil {
			wantOwnerError(t, err, whose, "millrace run FILE --adopt s")
		}
	}
	owned(f, "")
	owned(g, "table things: the stream s of the pipeline p writes it")

	g = f.other("q", "s", true)
	g.must(2, 1, 0)
	f.fenced(event{103, 0, "a", row(666)})
	g.apply(event{0, 0, "a", row(3)})
	f.want(map[string]string{"a": "3", "b": "2"})
	wantOwnerError(t, f.take(1), "the stream s of the pipeline q writes it")
	owned(f, "the stream s of the pipeline q writes it")
	owned(g, "")

	back := f.other("p", "s", true)
	back.must(1, 2, 0) // all that its topic holds comes again
	g.fenced(event{1, 0, "a", row(666)})
	back.apply(event{100, 0, "a", row(1)}, event{102, 0, "b", row(2)})
	f.want(map[string]string{"a": "1", "b": "2"})
	err := g.store.claimOne(t.Context(), &claim{topic: g.claim.topic, table: g.table}, recreatedTopic(2), 0)
	wantOwnerError(t, err, "the stream s of the pipeline p") // it has adopted once
	if got := fmt.Sprint(back.claim.next); got != "2" {
		t.Errorf("the owner is at %s", got)
	}
}
