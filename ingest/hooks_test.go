package ingest_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

const hookSecret = "it is a secret"

// hooked is a stream of items that are delivered as GitHub does.
func hooked(name string, types ...string) pipeline.Stream {
	return pipeline.Stream{Name: name, Ingest: pipeline.Ingest{
		Key: []string{"id"}, Shape: pipeline.Shape{Kind: pipeline.ShapeObject}, ErrorWhen: "false", Version: "version",
		Webhook: &pipeline.Webhook{
			Path: "/hooks", Type: "X-GitHub-Event", ID: "X-GitHub-Delivery", Types: types,
			Verify: &pipeline.Signature{Header: "X-Hub-Signature-256", Prefix: "sha256=", Secrets: []pipeline.Secret{hookSecret}},
		},
	}}
}

func hookPipeline(brokers []string, streams ...pipeline.Stream) *pipeline.Pipeline {
	p := newPipeline(brokers, streams...)
	p.Webhooks = pipeline.Webhooks{Listen: "127.0.0.1:0", MaxBody: 64 << 10}
	return p
}

// sender delivers, each time over a connection of its own.
type sender struct {
	http.Client

	t testing.TB
}

func newSender(t testing.TB) *sender {
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &sender{Client: http.Client{Transport: transport, Timeout: patience}, t: t}
}

// deliver returns the status, and the answer's text; 0 if there is none.
func (s *sender) deliver(address, kind, id, body string, headers ...string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(s.t.Context()), http.MethodPost, "http://"+address+"/hooks", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	m := hmac.New(sha256.New, []byte(hookSecret))
	_, _ = m.Write([]byte(body))
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(m.Sum(nil)))
	req.Header.Set("X-Github-Event", kind)
	req.Header.Set("X-Github-Delivery", id)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
		s.t.Error("503 without Retry-After")
	}
	return resp.StatusCode, string(text)
}

// listening is the address at which a process takes deliveries.
func (r *process) listening(t testing.TB) (address string) {
	t.Helper()
	s := newSender(t)
	testkit.Eventually(t, patience, func() error {
		if address = r.WebhookAddress(); address == "" {
			return errors.New("it does not listen")
		}
		if code, text := s.deliver(address, "none", "", "{}"); code != http.StatusOK {
			return fmt.Errorf("answer %d %s", code, text)
		}
		return nil
	})
	return address
}

// TestWebhookIsDurableWhenItIsAnswered: what was answered with 2xx is in the raw topic, with key and version; types go
// to their streams, types that delete make tombstones, and what is not signed is nowhere.
func TestWebhookIsDurableWhenItIsAnswered(t *testing.T) {
	c := testkafka.New(t)
	issues, comments := hooked("issues", "issues"), hooked("comments", "comment")
	issues.Ingest.Webhook.Deletes = []string{"issue_deleted"}
	issues.Ingest.DeletedWhen = "state == \"deleted\""
	comments.Ingest.Webhook.When = `id > 1`
	r := start(t, hookPipeline(c.ListenAddrs(), issues, comments), "one", testConfig())
	address, s := r.listening(t), newSender(t)
	for _, d := range []struct {
		kind, id, body string
		headers        []string
		want           int
	}{
		{"issues", "d1", `{"id": 1, "version": 7}`, nil, http.StatusOK},
		{"comment", "d2", `{"id": 2, "version": 1}`, nil, http.StatusOK},
		{"comment", "d3", `{"id": 1, "version": 1}`, nil, http.StatusOK}, // when is not true: of no stream
		{"issues", "d1", `{"id": 1, "version": 7}`, nil, http.StatusOK},  // once more
		{"issue_deleted", "d4", `{"id": 3, "version": 9}`, nil, http.StatusOK},
		{"issues", "d10", `{"id": 6, "state": "deleted"}`, nil, http.StatusOK}, // older or newer: nobody knows
		{"issues", "d11", `{"id": 7, "state": "deleted", "version": 2}`, nil, http.StatusOK},
		{"issues", "d5", `{"id": 4, "version": 1}`, []string{"X-Hub-Signature-256", "sha256=" + strings.Repeat("00", 32)}, http.StatusUnauthorized},
		{"issues", "d6", `not JSON`, nil, http.StatusBadRequest},
		{"issues", "d7", `[]`, nil, http.StatusBadRequest},
		{"issues", "d8", `{"id": 5, "text": "` + strings.Repeat("x", 64<<10) + `"}`, nil, http.StatusRequestEntityTooLarge},
		{"issues", "d9", `{"version": 1}`, nil, http.StatusOK}, // a dead letter
	} {
		code, text := s.deliver(address, d.kind, d.id, d.body, d.headers...)
		if code != d.want {
			t.Errorf("%s: %d %s, want %d", d.id, code, text, d.want)
		}
	}
	got := map[string][]string{}
	for _, topic := range []string{"shop.issues.raw", "shop.comments.raw", "shop.issues.dlq", "shop.comments.dlq"} {
		for _, rec := range testkit.Records(t, c.ListenAddrs(), topic) {
			h, err := topics.ParseRawHeaders(rec)
			if err != nil {
				t.Error(err)
			}
			got[topic] = append(got[topic], fmt.Sprintf("%s=%s v%d %s", rec.Key, rec.Value, h.Source, h.URL))
		}
		slices.Sort(got[topic])
	}
	want := map[string][]string{
		"shop.issues.raw":   {`1={"id": 1, "version": 7} v7 webhook:///hooks`, `3= v9 webhook:///hooks`, `7= v2 webhook:///hooks`},
		"shop.comments.raw": {`2={"id": 2, "version": 1} v1 webhook:///hooks`},
		"shop.issues.dlq":   {`6={"id": 6, "state": "deleted"} v0 webhook:///hooks`, `={"version": 1} v1 webhook:///hooks`},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if strings.Contains(r.log.String(), hookSecret) || !strings.Contains(r.log.String(), "webhook deliveries refused") {
		t.Errorf("the log shows the secret, or nothing of what was refused:\n%s", r.log)
	}
}

// TestWebhookWaitsForKafka: while Kafka does not take it, the answer is 503, and the sender's next attempt is taken.
func TestWebhookWaitsForKafka(t *testing.T) {
	c := testkafka.New(t)
	r := start(t, hookPipeline(c.ListenAddrs(), hooked("issues")), "one", testConfig())
	address, s := r.listening(t), newSender(t)
	var mu sync.Mutex
	away := true
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		produce, ok := req.(*kmsg.ProduceRequest)
		if !away || !ok || produce.TransactionID != nil {
			return nil, nil, false
		}
		resp, _ := produce.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range produce.Topics {
			out := kmsg.ProduceResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
			for _, p := range topic.Partitions {
				out.Partitions = append(out.Partitions, kmsg.ProduceResponseTopicPartition{Partition: p.Partition, ErrorCode: kerr.NotEnoughReplicas.Code})
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil, true
	})
	if code, text := s.deliver(address, "issues", "d1", `{"id": 1, "version": 1}`); code != http.StatusServiceUnavailable {
		t.Fatalf("%d %s while Kafka is away", code, text)
	}
	if w := r.Health.Waiting(); len(w) == 0 {
		t.Error("health says nothing of Kafka")
	}
	mu.Lock()
	away = false
	mu.Unlock()
	testkit.Eventually(t, patience, func() error {
		if code, text := s.deliver(address, "issues", "d1", `{"id": 1, "version": 1}`); code != http.StatusOK {
			return fmt.Errorf("%d %s", code, text)
		}
		return nil
	})
	if got := testkit.Await(t, c.ListenAddrs(), 1, "shop.issues.raw"); string(got[0].Key) != "1" {
		t.Errorf("key %s", got[0].Key)
	}
	testkit.Eventually(t, patience, testkit.That("it still waits", func() bool { return len(r.Health.Waiting()) == 0 }))
}

// TestWebhookLosesNothingWhenProcessesStop: two processes listen, and are stopped and started while a sender delivers
// to whichever answers, as a sender does. What was answered with 2xx is there.
func TestWebhookLosesNothingWhenProcessesStop(t *testing.T) {
	c := testkafka.New(t)
	p := hookPipeline(c.ListenAddrs(), hooked("issues"))
	two := []*process{start(t, p, "one", testConfig()), start(t, p, "two", testConfig())}
	addresses := []string{two[0].listening(t), two[1].listening(t)}
	var mu sync.Mutex
	at := func(n int) string {
		mu.Lock()
		defer mu.Unlock()
		return addresses[n%2]
	}
	const each, senders = 40, 4
	half := make(chan struct{})
	var sending sync.WaitGroup
	for n := range senders {
		sending.Go(func() {
			s := newSender(t)
			for i := range each {
				if n == 0 && i == each/2 {
					close(half)
				}
				id := n*each + i
				body := fmt.Sprintf(`{"id": %d, "version": 1}`, id)
				err := testkit.Until(context.WithoutCancel(t.Context()), patience, func() error {
					for try := range 2 {
						if code, _ := s.deliver(at(id+try), "issues", fmt.Sprint("d", id), body); code == http.StatusOK {
							return nil
						}
					}
					return errors.New("nobody takes it")
				})
				if err != nil {
					t.Errorf("%d: %v", id, err)
				}
			}
		})
	}
	<-half
	for i := range two {
		two[i].stop()
		again := start(t, p, fmt.Sprint("again", i), testConfig())
		address := again.listening(t)
		mu.Lock()
		addresses[i] = address
		mu.Unlock()
	}
	sending.Wait()
	keys := map[string]bool{}
	for _, rec := range testkit.Records(t, c.ListenAddrs(), "shop.issues.raw") {
		keys[string(rec.Key)] = true
	}
	for id := range each * senders {
		if !keys[fmt.Sprint(id)] {
			t.Errorf("%d was taken and is not there", id)
		}
	}
}

// TestWebhookBeforeKafkaIsThere: it is answered from the start, with 503 until Kafka is there.
func TestWebhookBeforeKafkaIsThere(t *testing.T) {
	p := hookPipeline([]string{"127.0.0.1:1"}, hooked("issues"))
	r := start(t, p, "one", testConfig())
	var address string
	testkit.Eventually(t, patience, testkit.That("it does not listen", func() bool { address = r.WebhookAddress(); return address != "" }))
	if code, text := newSender(t).deliver(address, "issues", "d1", `{"id": 1, "version": 1}`); code != http.StatusServiceUnavailable {
		t.Errorf("%d %s without Kafka", code, text)
	}
}

// TestWebhookIsRecognisedAfterARestart: what was delivered before is known by the raw topic, so that a delivery that
// comes again writes only what is missing of it: here, what is of the other stream. A delivery without an id is none of
// them.
func TestWebhookIsRecognisedAfterARestart(t *testing.T) {
	t.Parallel()
	c := testkafka.New(t)
	p := hookPipeline(c.ListenAddrs(), hooked("issues", "issue"), hooked("copies", "both"), hooked("others", "both"))
	deliver := func(who, kind, id, body string) {
		t.Helper()
		r := start(t, p, who, testConfig())
		if code, text := newSender(t).deliver(r.listening(t), kind, id, body); code != http.StatusOK {
			t.Errorf("%d %s", code, text)
		}
		r.stop()
	}
	deliver("one", "issue", "d1", `{"id": 1, "version": 1}`)
	deliver("two", "issue", "d1", `{"id": 1, "version": 1}`)
	deliver("three", "issue", "", `{"id": 2, "version": 1}`)
	deliver("four", "issue", "", `{"id": 2, "version": 1}`)
	page := topics.RawHeaders{PageID: "webhook.d2", Time: time.Now(), URL: "webhook:///hooks"}
	produce(t, c.ListenAddrs(), &kgo.Record{Topic: "shop.copies.raw", Key: []byte("3"), Value: []byte(`{"id": 3, "version": 1}`), Headers: page.Append(nil)})
	deliver("five", "both", "d2", `{"id": 3, "version": 1}`)
	got := map[string]int{}
	for _, topic := range []string{"issues", "copies", "others"} {
		for _, rec := range testkit.Records(t, c.ListenAddrs(), "shop."+topic+".raw") {
			got[topic+" "+string(rec.Key)]++
		}
	}
	if d := cmp.Diff(map[string]int{"issues 1": 1, "issues 2": 2, "copies 3": 1, "others 3": 1}, got); d != "" {
		t.Errorf("records: %s", d)
	}
}
