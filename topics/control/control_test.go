package control_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/topics/control"
)

type world struct {
	cluster *kfake.Cluster
	cfg     control.Config
	adm     *kadm.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cluster := testkafka.New(t)
	testkafka.Topics(t, cluster, 1, "shop.control")
	return &world{
		cluster: cluster,
		cfg:     control.Config{Pipeline: "shop", Who: "test", Client: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}},
		adm:     kadm.NewClient(testkafka.Client(t, cluster)),
	}
}

func (w *world) view(t *testing.T) *control.View {
	t.Helper()
	v := control.NewView(w.cfg)
	t.Cleanup(v.Close)
	return v
}

func refresh(t *testing.T, v *control.View) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	changed, err := v.Refresh(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func add(s *control.Stream) error {
	s.Generations = append(s.Generations, control.Generation{Number: s.Next(), Kind: control.Other, Logic: fmt.Sprint(s.Next())})
	s.Live = s.Generations[len(s.Generations)-1].Number
	return nil
}

// TestAnUnfinishedDecisionIsAborted: who was killed while it decided has left a transaction open, which would be waited
// for until it times out.
func TestAnUnfinishedDecisionIsAborted(t *testing.T) {
	w := newWorld(t)
	if _, err := control.Change(t.Context(), w.cfg, "orders", add); err != nil {
		t.Fatal(err)
	}
	died, err := kgo.NewClient(append([]kgo.Opt{kgo.TransactionalID("shop.control"), kgo.TransactionTimeout(10 * time.Minute)}, w.cfg.Client...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer died.Close()
	if err := died.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := died.ProduceSync(t.Context(), &kgo.Record{Topic: "shop.control", Key: []byte("stream/orders"), Value: []byte("{}")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	v := w.view(t)
	if d := cmp.Diff([]string{"orders"}, refresh(t, v)); d != "" {
		t.Error(d)
	}
	if n := len(v.Stream("orders").Generations); n != 1 {
		t.Errorf("%d generations, want the one that was decided", n)
	}
	if err := died.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
		t.Error("the decision was written after all")
	}
}

// TestEachDecisionSeesTheOnesBefore: no number is given twice, however many decide at the same time.
func TestEachDecisionSeesTheOnesBefore(t *testing.T) {
	w := newWorld(t)
	const deciders, each = 4, 5
	var all sync.WaitGroup
	for range deciders {
		all.Go(func() {
			for range each {
				if _, err := control.Change(t.Context(), w.cfg, "orders", add); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	v := w.view(t)
	if d := cmp.Diff([]string{"orders"}, refresh(t, v)); d != "" {
		t.Error(d)
	}
	s := v.Stream("orders")
	for i, g := range s.Generations {
		if int(g.Number) != i+1 {
			t.Errorf("generation %d has the number %d", i, g.Number)
		}
	}
	if len(s.Generations) < deciders*each || s.Live != s.Generations[len(s.Generations)-1].Number {
		t.Errorf("%d generations, of which %d is live, after %d decisions", len(s.Generations), s.Live, deciders*each)
	}
}

// TestNothingIsWrittenWithoutADecision, and the state is given back as it was.
func TestNothingIsWrittenWithoutADecision(t *testing.T) {
	w := newWorld(t)
	if _, err := control.Change(t.Context(), w.cfg, "orders", add); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	for _, want := range []error{control.ErrUnchanged, refused} {
		s, err := control.Change(t.Context(), w.cfg, "orders", func(s *control.Stream) error {
			return errors.Join(add(s), want)
		})
		if errors.Is(want, control.ErrUnchanged) {
			want = nil
		}
		if !errors.Is(err, want) || s.Live != 1 {
			t.Errorf("generation %d and error %v, want generation 1 and %v", s.Live, err, want)
		}
	}
	v := w.view(t)
	refresh(t, v)
	if s := v.Stream("orders"); len(s.Generations) != 1 {
		t.Errorf("%d generations, want 1", len(s.Generations))
	}
}

// TestSeveralAtOnce: what is decided about several streams is decided together, or not at all.
func TestSeveralAtOnce(t *testing.T) {
	w := newWorld(t)
	refused := errors.New("refused")
	_, err := control.ChangeAll(t.Context(), w.cfg, []string{"orders", "items"}, func(name string, s *control.Stream) error {
		if name == "items" {
			return refused
		}
		return add(s)
	})
	v := w.view(t)
	if changed := refresh(t, v); !errors.Is(err, refused) || len(changed) > 0 {
		t.Errorf("%v, and %v changed", err, changed)
	}
	all, err := control.ChangeAll(t.Context(), w.cfg, []string{"orders", "parcels", "items"}, func(name string, s *control.Stream) error {
		if name == "parcels" {
			return errors.Join(add(s), control.ErrUnchanged)
		}
		return add(s)
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"items", "orders"}, refresh(t, v)); d != "" {
		t.Error(d)
	}
	for name, live := range map[string]uint16{"orders": 1, "items": 1, "parcels": 0} {
		if all[name].Live != live || v.Stream(name).Live != live {
			t.Errorf("%s: generation %d, read %d, want %d", name, all[name].Live, v.Stream(name).Live, live)
		}
	}
}

// TestViewFollowsATopicThatIsRecreated: it forgets what the old one held.
func TestViewFollowsATopicThatIsRecreated(t *testing.T) {
	w := newWorld(t)
	for _, stream := range []string{"orders", "items"} {
		if _, err := control.Change(t.Context(), w.cfg, stream, add); err != nil {
			t.Fatal(err)
		}
	}
	v := w.view(t)
	if d := cmp.Diff([]string{"items", "orders"}, refresh(t, v)); d != "" {
		t.Error(d)
	}
	if changed := refresh(t, v); len(changed) > 0 {
		t.Errorf("%v changed, and nothing was decided", changed)
	}
	if _, err := w.adm.DeleteTopics(t.Context(), "shop.control"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.adm.CreateTopic(t.Context(), 1, 1, nil, "shop.control"); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Change(t.Context(), w.cfg, "items", add); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for v.Stream("orders").Live != 0 {
		if time.Now().After(deadline) {
			t.Fatal("the view still has what the topic of before held")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, _ = v.Refresh(ctx) // the first one finds that the topic has another id
		cancel()
	}
	if s := v.Stream("items"); s.Live != 1 || len(s.Generations) != 1 {
		t.Errorf("items has generation %d of %d, want the first", s.Live, len(s.Generations))
	}
}
