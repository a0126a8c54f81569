package control_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/topics/control"
)

// fail has the broker answer the n-th request of a key, counted from 1, with an error. before is called then, while the
// broker goes on with what others ask; nil: nothing is.
func (w *world) fail(key kmsg.Key, n int32, answer *kerr.Error, before func(kmsg.Request)) (failed *atomic.Bool) {
	failed = new(atomic.Bool)
	var seen atomic.Int32
	w.cluster.ControlKey(int16(key), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if failed.Load() || seen.Add(1) != n {
			return nil, nil, false
		}
		failed.Store(true)
		if before != nil {
			w.cluster.SleepControl(func() { before(r) })
		}
		switch resp := r.ResponseKind().(type) {
		case *kmsg.InitProducerIDResponse:
			resp.ErrorCode = answer.Code
			return resp, nil, true
		case *kmsg.EndTxnResponse:
			resp.ErrorCode = answer.Code
			return resp, nil, true
		}
		return nil, errors.New("no such answer is known"), true
	})
	return failed
}

// TestDecisionIsMadeOnce although the broker answers with an error that does not tell whether it has done what it was
// asked.
func TestDecisionIsMadeOnce(t *testing.T) {
	const claim, commit = 1, 2 // ends of transactions
	for name, test := range map[string]struct {
		key   kmsg.Key
		n     int32
		done  bool // the broker does what it is asked
		other bool // and another process decides before the answer
		fence bool // which is that this one is fenced
	}{
		"at the id":                              {key: kmsg.InitProducerID, n: 1},
		"at the claim, not done":                 {key: kmsg.EndTxn, n: claim},
		"at the claim, done":                     {key: kmsg.EndTxn, n: claim, done: true},
		"at the commit, not done":                {key: kmsg.EndTxn, n: commit},
		"at the commit, done":                    {key: kmsg.EndTxn, n: commit, done: true},
		"at the commit, done, and another since": {key: kmsg.EndTxn, n: commit, done: true, other: true},
		"at the commit, done, and fenced since":  {key: kmsg.EndTxn, n: commit, done: true, other: true, fence: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			through := testkafka.Client(t, w.cluster)
			answer := kerr.UnknownServerError
			if test.fence {
				answer = kerr.ProducerFenced
			}
			failed := w.fail(test.key, test.n, answer, func(r kmsg.Request) {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
				defer cancel()
				if test.done {
					if _, err := r.(*kmsg.EndTxnRequest).RequestWith(ctx, through); err != nil {
						t.Error(err)
					}
				}
				if test.other {
					if _, err := control.Change(ctx, w.cfg, "orders", add); err != nil {
						t.Error(err)
					}
				}
			})
			s, err := control.Change(t.Context(), w.cfg, "orders", add)
			if err != nil || s.Live != 1 {
				t.Errorf("generation %d is live, and error %v, want that generation 1 is decided", s.Live, err)
			}
			v := w.view(t)
			refresh(t, v)
			want := 1
			if test.other {
				want++
			}
			if got := len(v.Stream("orders").Generations); got != want || !failed.Load() {
				t.Errorf("%d generations are decided, want %d; the broker answered with an error: %v", got, want, failed.Load())
			}
		})
	}
}

// TestDecisionWaitsForABroker in whose place something else accepts connections, and ends them.
func TestDecisionWaitsForABroker(t *testing.T) {
	w := newWorld(t)
	stead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := stead.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1<<10))
			_ = c.Close()
		}
	})
	defer accepting.Wait()
	defer func() { _ = stead.Close() }()
	var dials atomic.Int32
	w.cfg.Client = append(w.cfg.Client, kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) <= 3 {
			address = stead.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}))
	s, err := control.Change(t.Context(), w.cfg, "orders", add)
	if err != nil || s.Live != 1 || dials.Load() <= 3 {
		t.Errorf("after %d connections: generation %d is live, and error %v, want that generation 1 is decided", dials.Load(), s.Live, err)
	}
}

// TestRefusalIsFinal, also where it passes on what the brokers said: whoever decides knows it.
func TestRefusalIsFinal(t *testing.T) {
	w, asked := newWorld(t), 0
	_, err := control.Change(t.Context(), w.cfg, "orders", func(*control.Stream) error {
		asked++
		return kerr.UnknownServerError
	})
	if !errors.Is(err, kerr.UnknownServerError) || asked != 1 {
		t.Errorf("asked %d times, error %v", asked, err)
	}
}
