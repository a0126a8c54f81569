//go:build integration

package e2e

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
)

// sender delivers webhooks as APIs do: each until it is answered with 2xx, and those of a key one after the other. Now
// and then an answer is lost, so that what was taken comes again, to either process.
type sender struct {
	targets []string // host:port of each process
	queues  []chan delivered
	client  *http.Client
	left    atomic.Int64 // deliveries that were not answered with 2xx yet
	sent    atomic.Int64
	again   atomic.Int64 // attempts beyond the first
	mu      sync.Mutex
	dice    *rand.Rand
}

// delivered is a delivery: a revision, or a deletion, which is one, too.
type delivered struct {
	revision

	kind string
}

const hookSecret = "a secret of the sender"

// newSender takes two ports that are free, and delivers until the test ends.
func newSender(t testing.TB, dice *rand.Rand) *sender {
	s := &sender{client: &http.Client{Timeout: 3 * time.Second}, dice: dice}
	for range 2 {
		s.targets = append(s.targets, fmt.Sprint("127.0.0.1:", testkit.FreePort(t)))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	for range 4 {
		queue := make(chan delivered, 1<<14) // the source never waits for it
		s.queues = append(s.queues, queue)
		done.Go(func() {
			for {
				select {
				case d := <-queue:
					s.deliver(ctx, d)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	t.Cleanup(func() { cancel(); done.Wait(); s.client.CloseIdleConnections() })
	return s
}

// env is where a process listens for deliveries, by its name.
func (s *sender) env(name string) []string {
	target := s.targets[0]
	if name == "ingest-2" {
		target = s.targets[1]
	}
	return []string{"E2E_HOOKS=" + target, "E2E_REFRESH_TOKEN=" + firstRefreshToken, "E2E_TOKEN_KEY=0123456789abcdef0123456789abcdef"}
}

func (s *sender) send(d delivered) {
	s.left.Add(1)
	h := fnv.New32a()
	_, _ = h.Write([]byte(d.key))
	s.queues[h.Sum32()%uint32(len(s.queues))] <- d
}

func (s *sender) roll(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dice.IntN(n)
}

// deliver sends a delivery until it is answered with 2xx.
func (s *sender) deliver(ctx context.Context, d delivered) {
	defer s.left.Add(-1)
	for n := 0; ctx.Err() == nil; n++ {
		if n > 0 {
			s.again.Add(1)
		}
		if s.post(ctx, s.targets[s.roll(2)], d) && s.roll(20) > 0 {
			s.sent.Add(1)
			return
		}
		testkit.Pause(ctx, 50*time.Millisecond)
	}
}

func (s *sender) post(ctx context.Context, target string, d delivered) bool {
	body := d.body()
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(body)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+target+"/hooks", bytes.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Github-Event", d.kind)
	r.Header.Set("X-Github-Delivery", fmt.Sprintf("%s-%d", d.key, d.rev))
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	answer, err := s.client.Do(r)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode/100 == 2
}

// await is nil when all is delivered.
func (s *sender) await(ctx context.Context, within time.Duration) error {
	return testkit.Until(ctx, within, func() error {
		if left := s.left.Load(); left > 0 {
			return fmt.Errorf("%d deliveries were not answered with 2xx", left)
		}
		return nil
	})
}
