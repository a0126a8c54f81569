package ingest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/ingest/webhook"
	"github.com/millrace-io/millrace/pipeline"
)

// hooks listens for deliveries, and writes their records. Any number of processes may do so at once: there is nothing
// to own, as the position is the sender's. A delivery is answered with 2xx when all of its records are written to all
// replicas that are in sync; whatever happens before, the sender delivers again. So a record may be written twice, and
// none is lost.
type hooks struct {
	in        *Ingest
	endpoints map[string]*endpoint // by path
	bytes     *semaphore.Weighted  // of deliveries in hand
	room      int64
	client    *kgo.Client
	listener  net.Listener
	ready     atomic.Bool // topics are there, and what is paused is known
	stopping  atomic.Bool
	address   atomic.Pointer[string]
}

// endpoint is a path. Its streams share it: each has its types, and its condition.
type endpoint struct {
	path     string
	verifier *webhook.Verifier // nil: anybody may deliver
	streams  []*delivered
	known    *webhook.Known
	refused  *refusedDeliveries
}

// delivered is a stream whose records are delivered.
type delivered struct {
	*slice

	hook   *pipeline.Webhook
	when   errorRule      // when.when is nil: all deliveries are the stream's
	kind   atomic.Int32   // of the first version, a [cursor.Kind]
	before *webhook.Known // values of mr-page that the raw topic had when the process began
}

const (
	knownDeliveries = 10_000           // ids for each endpoint, and records of before for each stream, 40 bytes each
	deliveryRoom    = 32 << 20         // bytes of deliveries in hand
	hookHeaderBytes = 64 << 10         // of a request's headers
	hookReadTimeout = 20 * time.Second // for a delivery to come in
	durableWithin   = 8 * time.Second  // for Kafka to have it: senders wait for 5 to 20 s
)

// newHooks returns nil if none of the chosen streams is delivered.
func newHooks(in *Ingest, chosen []*pipeline.Stream) (*hooks, error) {
	h := &hooks{in: in, endpoints: map[string]*endpoint{}}
	h.room = max(deliveryRoom, in.p.Webhooks.MaxBody)
	h.bytes = semaphore.NewWeighted(h.room)
	for _, s := range chosen {
		if s.Ingest.Webhook == nil {
			continue
		}
		if in.p.Webhooks.Listen == "" {
			return nil, fmt.Errorf("stream %s: webhooks.listen is missing", s.Name)
		}
		if err := h.add(s); err != nil {
			return nil, fmt.Errorf("stream %s: %w", s.Name, err)
		}
	}
	if len(h.endpoints) == 0 {
		return nil, nil //nolint:nilnil // as the comment says
	}
	return h, nil
}

func (h *hooks) add(s *pipeline.Stream) error {
	hook := s.Ingest.Webhook
	e := h.endpoints[hook.Path]
	if e == nil {
		e = &endpoint{path: hook.Path, known: webhook.NewKnown(knownDeliveries), refused: newRefusedDeliveries(h.in, hook.Path)}
		if hook.Verify != nil {
			var err error
			if e.verifier, err = webhook.NewVerifier(*hook.Verify); err != nil {
				return err
			}
		}
		h.endpoints[hook.Path] = e
	}
	d := &delivered{hook: hook, before: webhook.NewKnown(knownDeliveries)}
	if d.when = newErrorRule(hook.When); d.when.err != nil {
		return fmt.Errorf("ingest.webhook.when: %w", d.when.err)
	}
	r, err := h.in.reader(s, paginate.Wants{})
	if err != nil {
		return err
	}
	d.slice = &slice{
		in: h.in, stream: s, key: cursor.Key(s.Name, ""), who: s.Name, reader: r, log: h.in.env.Log.With("stream", s.Name),
		metrics: h.in.metrics.stream(s.Name), gate: h.in.decisions.gates[s.Name],
		client: fetch.NewClient(s.Ingest.HTTP, nil, h.in.budgets.For(s.Ingest.HTTP), h.in.memory),
	}
	e.streams = append(e.streams, d)
	return nil
}

// listen takes the port.
func (h *hooks) listen(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", h.in.p.Webhooks.Listen)
	if err != nil {
		return fmt.Errorf("webhooks: %w; choose another address with webhooks.listen", err)
	}
	h.listener = l
	address := l.Addr().String()
	h.address.Store(&address)
	return nil
}

// run serves until ctx ends. What is in hand then has time to become durable; the rest is answered with 503.
func (h *hooks) run(ctx context.Context) error {
	var err error
	h.client, err = kgo.NewClient(append(slices.Clone(h.in.env.Kafka),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchMaxBytes(h.in.p.Kafka.MaxRecordBytes),
		kgo.MaxBufferedBytes(max(bufferedBytes, 2*int(h.in.p.Kafka.MaxRecordBytes))),
		kgo.RecordDeliveryTimeout(durableWithin),
		kgo.ProducerLinger(0),
	)...)
	if err != nil {
		_ = h.listener.Close()
		return fmt.Errorf("webhooks: %w", err)
	}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: hookReadTimeout, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: hookHeaderBytes, ErrorLog: nil,
	}
	h.in.env.Log.Info("listening for webhooks", "address", h.listener.Addr().String(), "paths", h.paths())
	var draining sync.WaitGroup
	stop := context.AfterFunc(ctx, func() {
		h.stopping.Store(true)
		draining.Go(func() { h.drain(context.WithoutCancel(ctx), server) })
	})
	err = server.Serve(h.listener)
	if stop() { // it did not end because it was told to
		h.client.Close()
		return fmt.Errorf("webhooks: %w", err)
	}
	draining.Wait()
	return nil
}

// drain lets the deliveries in hand end.
func (h *hooks) drain(ctx context.Context, server *http.Server) {
	ctx, cancel := context.WithTimeout(ctx, h.in.cfg.Drain)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
	_ = h.client.Flush(ctx) // of those that were answered with 503 meanwhile
	h.client.Close()
}

func (h *hooks) paths() []string {
	var out []string
	for path := range h.endpoints {
		out = append(out, path)
	}
	slices.Sort(out)
	return out
}

// WebhookAddress is where this process listens for deliveries; empty: nowhere, or not yet.
func (in *Ingest) WebhookAddress() string {
	if in.hooks == nil {
		return ""
	}
	if a := in.hooks.address.Load(); a != nil {
		return *a
	}
	return ""
}

// hookURL is the place of an endpoint, as records tell where they are from.
func hookURL(path string) *url.URL { return &url.URL{Scheme: "webhook", Path: path} }
