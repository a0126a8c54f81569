package changelog_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/changelog"
	"github.com/millrace-io/millrace/internal/testkit"
)

// TestRestoreKeepsWhatItHas claims over a link that stalls in the middle: the claim is given up, and the next one reads
// only what is left.
func TestRestoreKeepsWhatItHas(t *testing.T) {
	w := newWorld(t)
	const values, size = 60, 50_000
	noise := rand.NewChaCha8([32]byte{})
	want := map[string][]byte{}
	first, _ := w.claim(t, "before")
	for i := range values {
		value := make([]byte, size)
		_, _ = noise.Read(value)
		key := fmt.Sprint("k", i)
		want[key] = value
		tx := begin(t, first)
		tx.Append(t.Context(), []byte(key), value)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first.Close()

	link := testkit.NewLink(1 << 30)
	cfg, state, next := w.cfg, map[string][]byte{}, int64(0)
	cfg.Client = append(cfg.Client, kgo.Dialer(link.Dial), kgo.RequestTimeoutOverhead(time.Second))
	cfg.From, cfg.Quiet = &next, time.Second
	resume := func() {}
	restore := func(key string, value []byte) {
		if state[key] = value; len(state) == values/2 {
			resume = link.Stall()
		}
	}
	claim := func() (*changelog.Changelog, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		return changelog.Claim(ctx, cfg, restore)
	}
	if c, err := claim(); err == nil {
		c.Close()
		t.Fatal("a claim over a stalled link came to its end")
	}
	had := len(state)
	if had < values/2 {
		t.Errorf("%d values restored before the stall, want %d or more", had, values/2)
	}
	resume()
	before := link.Down()
	cfg.Quiet = 20 * time.Second
	c, err := claim()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if len(state) != values {
		t.Errorf("%d values restored, want %d", len(state), values)
	}
	for key, value := range want {
		if !bytes.Equal(state[key], value) {
			t.Errorf("%s was not restored as it was written", key)
		}
	}
	if most := int64(values-had)*size + 400_000; link.Down()-before > most {
		t.Errorf("the second claim read %d bytes, want at most %d", link.Down()-before, most)
	}
}

// TestAClaimIsGivenUp: brokers that have the record of a claim, and do not answer any more, are not waited for longer
// than is said.
func TestAClaimIsGivenUp(t *testing.T) {
	for name, quiet := range map[string]time.Duration{"quiet": time.Second, "its context ends": time.Hour} {
		t.Log(name)
		w := newWorld(t)
		cfg := w.cfg
		cfg.Quiet = quiet
		ctx, end := context.WithCancel(t.Context())
		w.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			if quiet > time.Minute {
				end()
			}
			return nil, nil, true
		})
		givenUp(t, ctx, cfg)
		end()
	}
}

// givenUp claims, which must end with an error.
func givenUp(t *testing.T, ctx context.Context, cfg changelog.Config) {
	t.Helper()
	ended := make(chan error, 1) // one send, so that it never waits
	go func() {
		c, err := changelog.Claim(ctx, cfg, func(string, []byte) {})
		if err == nil {
			c.Close()
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the claim came to its end")
		}
	case <-time.After(time.Minute):
		t.Fatal("the claim is not given up")
	}
}

// TestAClaimEndsWithItsContext, whatever it waits for: its client is told to wait for brokers for an hour.
func TestAClaimEndsWithItsContext(t *testing.T) {
	holds := func(key kmsg.Key) func(*world, func()) {
		return func(w *world, reached func()) {
			w.cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
				w.cluster.KeepControl()
				reached()
				return nil, nil, true
			})
		}
	}
	for name, gone := range map[string]func(w *world, reached func()){
		"the id is not given":         holds(kmsg.InitProducerID),
		"the record is not written":   holds(kmsg.Produce),
		"the end is not written":      holds(kmsg.EndTxn),
		"the state is not read":       holds(kmsg.Fetch),
		"the coordinator is not told": holds(kmsg.FindCoordinator),
		"another transaction ends": func(w *world, reached func()) {
			w.cluster.ControlKey(int16(kmsg.InitProducerID), func(req kmsg.Request) (kmsg.Response, error, bool) {
				w.cluster.KeepControl()
				reached()
				resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
				resp.ErrorCode = kerr.ConcurrentTransactions.Code
				return resp, nil, true
			})
		},
		"nobody answers": func(w *world, reached func()) {
			w.cfg.Client = append(w.cfg.Client, kgo.Dialer(func(context.Context, string, string) (net.Conn, error) {
				reached()
				ours, _ := net.Pipe()
				return ours, nil
			}))
		},
		"nobody listens": func(w *world, reached func()) {
			w.cfg.Client = append(w.cfg.Client, kgo.Dialer(func(context.Context, string, string) (net.Conn, error) {
				reached()
				return nil, syscall.ECONNREFUSED
			}))
		},
		"they die": func(w *world, reached func()) {
			m := testkit.NewMortal(1)
			m.Before = func(key kmsg.Key) {
				if key == kmsg.InitProducerID {
					reached()
				}
			}
			w.cfg.Client = append(w.cfg.Client, kgo.Dialer(m.Dial))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ctx, end := context.WithCancel(t.Context())
			defer end()
			gone(w, end)
			w.cfg.Quiet = time.Hour
			givenUp(t, ctx, w.cfg)
		})
	}
}
