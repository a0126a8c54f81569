package reset_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest"
	"github.com/millrace-io/millrace/internal/reset"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const patience = 2 * time.Minute

// shop is an API with items in two slices, and the pipeline that fetches them.
type shop struct {
	t       *testing.T
	cluster *kfake.Cluster
	p       *pipeline.Pipeline
	cfg     reset.Config
	url     string

	mu    sync.Mutex
	items map[string]map[int]string // by slice and id: text
	asked []string
	fail  bool
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, cluster: testkafka.New(t), items: map[string]map[int]string{"a": {}, "b": {}}}
	for i := range 20 {
		s.items[[]string{"a", "b"}[i%2]][i] = "x"
	}
	api := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(api.Close)
	s.url = api.URL
	brokers := s.cluster.ListenAddrs()
	s.p = &pipeline.Pipeline{
		Name: "shop", Kafka: pipeline.Kafka{Brokers: brokers, Partitions: 3, Replication: -1, MaxRecordBytes: 1 << 20},
		Streams: []pipeline.Stream{s.stream("items"), s.stream("other")},
	}
	s.ensure()
	opts := []kgo.Opt{kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(50 * time.Millisecond)}
	s.cfg = reset.Config{
		Pipeline: s.p, Stream: &s.p.Streams[0], Client: testkafka.Client(t, s.cluster),
		Control: control.Config{Pipeline: "shop", Who: "op@host", Client: opts},
	}
	return s
}

// ensure makes the topics of the pipeline.
func (s *shop) ensure() {
	s.t.Helper()
	if err := admin.Ensure(s.t.Context(), kadm.NewClient(testkafka.Client(s.t, s.cluster)), topics.Specs(s.p)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) stream(name string) pipeline.Stream {
	return pipeline.Stream{Name: name, Ingest: pipeline.Ingest{
		HTTP: pipeline.HTTP{BaseURL: s.url, Retry: pipeline.Retry{Initial: time.Millisecond, Max: 20 * time.Millisecond, Attempts: 2}},
		Path: "/" + name + "/{shop}", Records: []string{"data"}, Key: []string{"id"}, Concurrency: 1, Every: 30 * time.Millisecond,
		Slices: &pipeline.Slices{Name: "shop", Values: []string{"a", "b"}},
	}}
}

func (s *shop) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.RequestURI())
	if s.fail {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	var list []map[string]any
	of := s.items[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]
	for _, id := range slices.Sorted(maps.Keys(of)) {
		list = append(list, map[string]any{"id": id, "text": of[id], "at": "2026-01-01T00:00:00Z"})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": append([]map[string]any{}, list...)})
}

func (s *shop) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *shop) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// fetcher is an ingest that runs.
type fetcher struct {
	*ingest.Ingest

	health *stage.Health
	log    *testkit.Buffer
	stop   func()
}

func (s *shop) fetch(name string) *fetcher {
	s.t.Helper()
	cfg := ingest.DefaultConfig()
	cfg.CommitInterval, cfg.SessionTimeout = 5*time.Millisecond, 30*time.Second
	f := &fetcher{health: &stage.Health{}, log: &testkit.Buffer{}}
	in, err := ingest.New(s.p, cfg, stage.Env{
		Instance: name, Kafka: s.cfg.Control.Client, Log: slog.New(slog.NewTextHandler(f.log, nil)), Metrics: prometheus.NewRegistry(), Health: f.health,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	f.Ingest = in
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("log of %s:\n%s", name, f.log)
		}
	})
	f.stop = testkit.Run(s.t, in.Run)
	return f
}

// fetchedShop is a shop of which the ingest that it returns, which runs, has fetched everything once.
func fetchedShop(t *testing.T) (*shop, *fetcher) {
	t.Helper()
	s := newShop(t)
	f := s.fetch("one")
	s.awaitRaw("items", want(0, 20, "1"))
	return s, f
}

func (s *shop) ctx() context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// raw counts the records of a stream in the raw topic, by key; a tombstone is noted as the last.
func (s *shop) raw(stream string) map[string]string {
	s.t.Helper()
	n, gone := map[string]int{}, map[string]bool{}
	for _, r := range testkit.Records(s.t, s.p.Kafka.Brokers, topics.Raw("shop", stream)) {
		if gone[string(r.Key)] = r.Value == nil; r.Value != nil {
			n[string(r.Key)]++
		}
	}
	out := map[string]string{}
	for key := range n {
		if out[key] = fmt.Sprint(n[key]); gone[key] {
			out[key] += " gone"
		}
	}
	return out
}

// want is ids from to below, each with text.
func want(from, below int, text string) map[string]string {
	out := map[string]string{}
	for i := from; i < below; i++ {
		out[fmt.Sprint(i)] = text
	}
	return out
}

func (s *shop) await(what string, is func() bool) {
	s.t.Helper()
	testkit.Eventually(s.t, patience, testkit.That(what, is))
}

func (s *shop) awaitRaw(stream string, want map[string]string) {
	s.t.Helper()
	var got map[string]string
	defer func() {
		if s.t.Failed() {
			s.t.Logf("raw of %s (-want +got):\n%s", stream, cmp.Diff(want, got))
		}
	}()
	s.await("the records of "+stream, func() bool {
		got = s.raw(stream)
		return maps.Equal(got, want)
	})
}

// awaitGroup waits until so many processes have shared out the partitions among them.
func (s *shop) awaitGroup(members int) {
	s.t.Helper()
	s.await("a group that has settled", func() bool {
		groups, err := kadm.NewClient(s.cfg.Client).DescribeGroups(s.ctx(), topics.IngestGroup("shop"))
		g := groups[topics.IngestGroup("shop")]
		return err == nil && g.State == "Stable" && len(g.Members) == members
	})
}

func (s *shop) run(o reset.Options) *control.Sweep {
	s.t.Helper()
	if err := reset.Run(s.ctx(), s.cfg, o); err != nil {
		s.t.Fatal(err)
	}
	return s.sweep()
}

func (s *shop) sweep() *control.Sweep {
	s.t.Helper()
	return s.decided().Sweep
}

func (s *shop) decided() *control.Stream {
	s.t.Helper()
	is, err := control.About(s.ctx(), s.cfg.Control, "items")
	if err != nil {
		s.t.Fatal(err)
	}
	return is
}

func (s *shop) awaitPass(sweep *control.Sweep) {
	s.t.Helper()
	if err := reset.Await(s.ctx(), s.cfg, sweep, func(p reset.Passed) { s.t.Logf("%+v", p) }); err != nil {
		s.t.Fatal(err)
	}
}

// sweepWithoutKey0 resets the stream items with a sweep whose pass, which has ended, did not show the key 0.
func (s *shop) sweepWithoutKey0() *control.Sweep {
	s.t.Helper()
	s.change(func() { delete(s.items["a"], 0) })
	sweep := s.run(reset.Options{Sweep: true})
	s.awaitPass(sweep)
	return sweep
}

func (s *shop) look(sweep *control.Sweep) *reset.Sweep {
	s.t.Helper()
	found, err := reset.Look(s.ctx(), s.cfg, sweep)
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// TestAResetStreamIsFetchedAgain beside two processes, which are not disturbed otherwise: each record is written once
// more, another stream is not, and nobody is told of being fenced. It works without a process too, and a second reset
// does it again.
func TestAResetStreamIsFetchedAgain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	one, two := s.fetch("one"), s.fetch("two")
	s.awaitRaw("items", want(0, 20, "1"))
	s.awaitRaw("other", want(0, 20, "1"))
	s.awaitGroup(2)
	before := map[*fetcher]int{one: len(one.log.String()), two: len(two.log.String())} // who joins may fence who was there
	if sweep := s.run(reset.Options{}); sweep != nil {
		t.Errorf("a sweep that nobody asked for: %+v", sweep)
	}
	s.awaitRaw("items", want(0, 20, "2"))
	for _, f := range []*fetcher{one, two} {
		f.stop()
		if log := f.log.String()[before[f]:]; strings.Contains(log, "level=WARN") || strings.Contains(log, "fenced") {
			t.Errorf("not quiet:\n%s", log)
		}
	}
	s.run(reset.Options{})
	three := s.fetch("three")
	s.awaitRaw("items", want(0, 20, "3"))
	asked := len(s.requests())
	s.await("more passes", func() bool { return len(s.requests()) > asked+8 })
	three.stop()
	s.awaitRaw("items", want(0, 20, "3")) // what has not changed is not written again
	s.awaitRaw("other", want(0, 20, "1"))
}

// TestAStreamThatRestsIsResetAtOnce: its owners have nothing to commit for a day.
func TestAStreamThatRestsIsResetAtOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for i := range s.p.Streams {
		s.p.Streams[i].Ingest.Every = 24 * time.Hour
	}
	f := s.fetch("one")
	s.awaitRaw("items", want(0, 20, "1"))
	s.run(reset.Options{})
	s.awaitRaw("items", want(0, 20, "2"))
	f.stop()
	s.awaitRaw("other", want(0, 20, "1"))
}

// TestResetSince asks from what was given.
func TestResetSince(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.p.Streams[0].Ingest.Incremental = &pipeline.Incremental{Field: "at", Param: "since"}
	f := s.fetch("one")
	s.awaitRaw("items", want(0, 20, "1"))
	since := time.Date(2025, 5, 5, 0, 0, 0, 0, time.UTC).UnixMicro()
	s.run(reset.Options{Since: &since})
	s.await("a request from there", func() bool {
		return slices.Contains(s.requests(), "/items/a?since=2025-05-05T00%3A00%3A00Z") && slices.Contains(s.requests(), "/items/b?since=2025-05-05T00%3A00%3A00Z")
	})
	s.awaitRaw("items", want(0, 20, "2"))
	f.stop()
}

// TestASweepDeletesWhatThePassDidNotShow: keys 16 to 19 are gone; 18 comes back after the look and before the deletion,
// and stays. A key of which a record was refused stays too. Who looks again finds nothing.
func TestASweepDeletesWhatThePassDidNotShow(t *testing.T) {
	t.Parallel()
	s, f := fetchedShop(t)
	s.change(func() {
		for i := 16; i < 20; i++ {
			delete(s.items["a"], i)
			delete(s.items["b"], i)
		}
	})
	sweep := s.run(reset.Options{Sweep: true})
	s.awaitPass(sweep)
	letter := topics.Letter{Stage: "ingest", Step: "ingest.version", Reason: "test"}.Record(
		topics.DeadLetters("shop", "items"), "ingest:x", &kgo.Record{Key: []byte("19"), Value: []byte("{}")})
	if err := s.cfg.Client.ProduceSync(t.Context(), letter).FirstErr(); err != nil {
		t.Fatal(err)
	}
	found := s.look(sweep)
	if d := cmp.Diff([]string{"16", "17", "18"}, found.Examples(10)); d != "" || found.Keys != 20 || found.Held != 1 || found.Unknown != 0 {
		t.Errorf("%+v\n%s", found, d)
	}
	s.change(func() { s.items["a"][18] = "y" })
	all := want(0, 16, "2")
	maps.Copy(all, map[string]string{"16": "1", "17": "1", "18": "2", "19": "1"})
	s.awaitRaw("items", all)
	if n, err := found.Delete(s.ctx()); n != 2 || err != nil {
		t.Errorf("%d deleted: %v", n, err)
	}
	maps.Copy(all, map[string]string{"16": "1 gone", "17": "1 gone"})
	s.awaitRaw("items", all)
	if again := s.look(sweep); again.Gone() != 0 {
		t.Errorf("found once more: %v", again.Examples(10))
	}
	s.change(func() { s.items["a"][16] = "z" }) // the stream goes on
	all["16"] = "2"
	s.awaitRaw("items", all)
	f.stop()
	if left := s.sweep(); left != nil {
		t.Errorf("not ended: %+v", left)
	}
	if log := f.log.String(); strings.Contains(log, "level=WARN msg=fenced") {
		t.Errorf("not quiet:\n%s", log)
	}
}

// TestASweepThatDied holds ingest up until it is run again; who was held up in the middle of it can do nothing any
// more.
func TestASweepThatDied(t *testing.T) {
	t.Parallel()
	s, f := fetchedShop(t)
	sweep := s.sweepWithoutKey0()
	if _, err := control.Change(s.ctx(), s.cfg.Control, "items", func(c *control.Stream) error {
		c.Sweep.Deleting = "one that died"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s.await("ingest says what it waits for", func() bool { return strings.Contains(f.health.Degraded()["ingest items"], "reset FILE items --sweep") })
	if err := reset.Run(s.ctx(), s.cfg, reset.Options{}); err == nil || !strings.Contains(err.Error(), "being deleted") {
		t.Errorf("reset in the middle: %v", err)
	}
	if n, err := s.look(sweep).Delete(s.ctx()); n != 1 || err != nil {
		t.Errorf("%d deleted: %v", n, err)
	}
	s.await("ingest continues", func() bool { return f.health.Degraded()["ingest items"] == "" })
	if _, err := s.look(sweep).Delete(s.ctx()); err != nil {
		t.Errorf("again: %v", err)
	}
	f.stop()
}

// TestAPassThatFailsSweepsNothing, nor does one of which a slice is missing.
func TestAPassThatFailsSweepsNothing(t *testing.T) {
	t.Parallel()
	s, f := fetchedShop(t)
	s.change(func() { s.fail = true })
	sweep := s.run(reset.Options{Sweep: true})
	s.await("it waits for the API", func() bool { return f.health.Waiting()["ingest"] != "" })
	ctx, cancel := context.WithCancel(t.Context())
	var last reset.Passed
	err := reset.Await(ctx, s.cfg, sweep, func(p reset.Passed) {
		last = p
		cancel()
	})
	if err == nil || last.Complete != 0 || last.Slices != 2 {
		t.Errorf("%+v: %v", last, err)
	}
	cancel()
	s.change(func() { s.fail = false })
	s.awaitPass(sweep)
	f.stop()
}

// TestTheRawTopicRecreatedEndsASweep: what it counts from is gone.
func TestTheRawTopicRecreatedEndsASweep(t *testing.T) {
	t.Parallel()
	s, f := fetchedShop(t)
	sweep := s.run(reset.Options{Sweep: true})
	f.stop()
	adm := kadm.NewClient(s.cfg.Client)
	if _, err := adm.DeleteTopic(t.Context(), "shop.items.raw"); err != nil {
		t.Fatal(err)
	}
	testkafka.Topics(t, s.cluster, 3, "shop.items.raw")
	if _, err := reset.Look(s.ctx(), s.cfg, sweep); !errors.Is(err, reset.ErrElsewhere) {
		t.Errorf("%v", err)
	}
}

// TestForgettingDeletesWhatWasBefore, once the processors have passed it.
func TestForgettingDeletesWhatWasBefore(t *testing.T) {
	t.Parallel()
	s, f := fetchedShop(t)
	sweep := s.run(reset.Options{Sweep: true, Forget: true})
	s.awaitPass(sweep)
	if n, err := s.look(sweep).Delete(s.ctx()); n != 0 || err != nil {
		t.Errorf("%d deleted: %v", n, err)
	}
	left, err := reset.Left(s.ctx(), s.cfg, s.cfg.Pipeline, sweep)
	if err != nil || left < 20 {
		t.Errorf("%d left: %v", left, err)
	}
	offsets := kadm.Offsets{}
	for n, at := range sweep.From {
		offsets.Add(kadm.Offset{
			Topic: "shop.items.raw", Partition: n, At: at, LeaderEpoch: -1, Metadata: topics.Position{RawTopicID: sweep.RawTopicID}.Metadata(),
		})
	}
	if _, err := kadm.NewClient(s.cfg.Client).CommitOffsets(t.Context(), topics.ProcessorGroup("shop"), offsets); err != nil {
		t.Fatal(err)
	}
	if left, err = reset.Left(s.ctx(), s.cfg, s.cfg.Pipeline, sweep); err != nil || left != 0 {
		t.Errorf("%d left: %v", left, err)
	}
	if s.sweep() == nil {
		t.Error("ended too early")
	}
	if err := reset.Forget(s.ctx(), s.cfg, sweep); err != nil {
		t.Error(err)
	}
	s.awaitRaw("items", want(0, 20, "1")) // those of the pass after it
	if s.sweep() != nil {
		t.Error("not ended")
	}
	f.stop()
}
