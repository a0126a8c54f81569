package proxy_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/e2e/proxy"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
)

const topic = "orders"

// passages is a judge that notes what passes and passes it on.
type passages struct {
	mu   sync.Mutex
	seen []proxy.Passage
}

func (s *passages) judge(x proxy.Passage) proxy.Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, x)
	return proxy.Pass
}

func (s *passages) has(what string, answer bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.seen, func(x proxy.Passage) bool { return x.What == what && x.Answer == answer })
}

func broker(t *testing.T) string {
	t.Helper()
	addr := testkafka.New(t).ListenAddrs()[0]
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	return addr
}

func producer(t *testing.T, addr string) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.TransactionalID("test"), kgo.DefaultProduceTopic(topic), kgo.RecordRetries(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// TestKafkaStaysWithTheProxy: a client that begins at a proxy is never told the broker's own address, so all of its
// requests are seen.
func TestKafkaStaysWithTheProxy(t *testing.T) {
	p := proxy.Kafka(t, broker(t))
	var seen passages
	p.Judge(seen.judge)
	cl := producer(t, p.Addr())
	if err := transact(t.Context(), cl, "a"); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"Metadata", "FindCoordinator", "InitProducerID", "Produce", "EndTxn"} {
		if !seen.has(what, false) || !seen.has(what, true) {
			t.Errorf("%s and its answer did not pass the proxy", what)
		}
	}
	committed := slices.ContainsFunc(seen.seen, func(x proxy.Passage) bool { return x.Answer && x.Commits() })
	if !committed {
		t.Error("no passage is the answer to a commit")
	}
}

// TestKafkaCut: a commit whose answer is cut has happened, one whose request is cut has not.
func TestKafkaCut(t *testing.T) {
	for name, answer := range map[string]bool{"the request": false, "the answer": true} {
		t.Run(name, func(t *testing.T) {
			addr := broker(t)
			p := proxy.Kafka(t, addr)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p.Judge(func(x proxy.Passage) proxy.Verdict {
				if x.Commits() && x.Answer == answer {
					time.AfterFunc(300*time.Millisecond, cancel) // else it commits again
					return proxy.Cut
				}
				return proxy.Pass
			})
			if err := transact(ctx, producer(t, p.Addr()), "a"); err == nil {
				t.Error("the commit was answered")
			}
			// A transaction that is still open holds up those that read committed records; a new owner of the id ends
			// it.
			if err := transact(t.Context(), producer(t, addr), "b"); err != nil {
				t.Fatal(err)
			}
			want := []string{"b"}
			if answer {
				want = []string{"a", "b"}
			}
			var got []string
			for _, r := range testkit.Records(t, []string{addr}, topic) {
				got = append(got, string(r.Value))
			}
			if !slices.Equal(got, want) {
				t.Errorf("committed records: %q, want %q", got, want)
			}
		})
	}
}

func transact(ctx context.Context, cl *kgo.Client, value string) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	if err := cl.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
		return err
	}
	return cl.EndTransaction(ctx, kgo.TryCommit)
}
