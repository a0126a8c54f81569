package changelog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
)

const partition = 1

type world struct {
	cluster *kfake.Cluster
	brokers []string
	cfg     changelog.Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cluster := testkafka.New(t)
	testkafka.Topics(t, cluster, 2, "state", "output")
	return &world{cluster: cluster, brokers: cluster.ListenAddrs(), cfg: changelog.Config{
		Topic: "state", Partition: partition, TransactionalID: "test.1", TransactionTimeout: 10 * time.Second, Quiet: 20 * time.Second,
		Client: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)},
	}}
}

// claim returns a claim that is closed when the test ends, and the state that it found.
func (w *world) claim(t *testing.T, owner string) (*changelog.Changelog, map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cfg, state := w.cfg, map[string]string{}
	cfg.Owner = owner
	c, err := changelog.Claim(ctx, cfg, func(key string, value []byte) {
		if value == nil {
			delete(state, key)
			return
		}
		state[key] = string(value)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, state
}

func begin(t *testing.T, c *changelog.Changelog) *changelog.Transaction {
	t.Helper()
	tx, err := c.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// set commits a value of the state with a record that tells of it.
func set(t *testing.T, tx *changelog.Transaction, key, value string) error {
	t.Helper()
	tx.Produce(t.Context(), &kgo.Record{Topic: "output", Value: []byte(key + "=" + value)})
	tx.Append(t.Context(), []byte(key), []byte(value))
	return tx.Commit(t.Context())
}

func (w *world) told(t *testing.T) []string {
	t.Helper()
	var told []string
	for _, r := range testkit.Records(t, w.brokers, "output") {
		told = append(told, string(r.Value))
	}
	slices.Sort(told) // the output has two partitions
	return told
}

func TestRestoreGivesWhatWasCommitted(t *testing.T) {
	w := newWorld(t)
	c, state := w.claim(t, "a")
	if len(state) != 0 {
		t.Errorf("an empty partition has the state %v", state)
	}
	want := map[string]string{}
	for i := range 50 {
		key, value := fmt.Sprint("k", i%7), fmt.Sprint(i)
		want[key] = value
		if err := set(t, begin(t, c), key, value); err != nil {
			t.Fatal(err)
		}
	}
	tx := begin(t, c)
	tx.Append(t.Context(), []byte("k3"), nil)
	delete(want, "k3")
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Close()
	for _, owner := range []string{"a", "b"} { // the second finds the claim of the first, and nothing else that is new
		_, state = w.claim(t, owner)
		if d := cmp.Diff(want, state); d != "" {
			t.Errorf("%s: %s", owner, d)
		}
	}
	if told := w.told(t); len(told) != 50 {
		t.Errorf("%d records with the state, want 50", len(told))
	}
}

// TestClaimFencesTheOwnerBefore at each step of its transaction: nothing of it is ever seen.
func TestClaimFencesTheOwnerBefore(t *testing.T) {
	for name, step := range map[string]func(t *testing.T, before *changelog.Changelog, claim func()) error{
		"before it begins": func(t *testing.T, before *changelog.Changelog, claim func()) error {
			t.Helper()
			claim()
			return set(t, begin(t, before), "k", "before")
		},
		"with records on their way": func(t *testing.T, before *changelog.Changelog, claim func()) error {
			t.Helper()
			tx := begin(t, before)
			tx.Append(t.Context(), []byte("k"), []byte("before"))
			claim()
			return tx.Commit(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			before, _ := w.claim(t, "before")
			if err := set(t, begin(t, before), "k", "first"); err != nil {
				t.Fatal(err)
			}
			var after *changelog.Changelog
			var state map[string]string
			err := step(t, before, func() { after, state = w.claim(t, "after") })
			var fenced *changelog.FencedError
			if !errors.As(err, &fenced) || fenced.Topic != "state" || fenced.Partition != partition {
				t.Errorf("the owner before got %v, want that it was fenced", err)
			}
			if d := cmp.Diff(map[string]string{"k": "first"}, state); d != "" {
				t.Errorf("state of the owner after: %s", d)
			}
			if err := set(t, begin(t, after), "k", "after"); err != nil {
				t.Errorf("the owner after: %v", err)
			}
			if d := cmp.Diff([]string{"k=after", "k=first"}, w.told(t)); d != "" {
				t.Errorf("output: %s", d)
			}
		})
	}
}

func TestClaimEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := changelog.Claim(ctx, w.cfg, func(string, []byte) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}
