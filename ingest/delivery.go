package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/cut"
)

// delivery is one that was taken in whole.
type delivery struct {
	body []byte
	kind string // its type; empty: it has none
	id   string // the same when it is sent again; empty: it has none
}

// refusal is the answer to a delivery that is not taken. why is a label, of few values.
type refusal struct {
	status int
	why    string
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }

func refuse(status int, why string, err error) *refusal { return &refusal{status, why, err} }

// ServeHTTP takes a delivery.
func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	e := h.endpoints[r.URL.Path]
	if e == nil {
		http.NotFound(w, r) // whatever asks for anything: it is not counted by path
		h.in.metrics.deliveries.WithLabelValues("", strconv.Itoa(http.StatusNotFound)).Inc()
		return
	}
	text, err := h.deliver(w, r, e)
	status := http.StatusOK
	if err != nil {
		status = err.status
		text = err.Error()
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", retryAfterHook)
		}
		e.refused.add(err)
	}
	if h.stopping.Load() {
		w.Header().Set("Connection", "close")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
	h.in.metrics.deliveries.WithLabelValues(e.path, strconv.Itoa(status)).Inc()
	h.in.metrics.deliverySeconds.WithLabelValues(e.path).Observe(time.Since(start).Seconds())
}

// retryAfterHook is in seconds.
const retryAfterHook = "30"

// deliver takes a delivery up to the point where it is durable.
func (h *hooks) deliver(w http.ResponseWriter, r *http.Request, e *endpoint) (string, *refusal) {
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		return "", refuse(http.StatusMethodNotAllowed, "method", errors.New("deliveries are POSTed"))
	case h.stopping.Load():
		return "", refuse(http.StatusServiceUnavailable, "stopping", errors.New("this process is stopping"))
	case !h.ready.Load():
		return "", refuse(http.StatusServiceUnavailable, "starting", errors.New("this process is starting"))
	case r.Header.Get("Content-Encoding") != "" && r.Header.Get("Content-Encoding") != "identity":
		return "", refuse(http.StatusUnsupportedMediaType, "encoding", errors.New("content codings are not taken"))
	}
	body, done, refused := h.receive(w, r)
	if refused != nil {
		return "", refused
	}
	if e.verifier != nil {
		if err := e.verifier.Verify(r.Header, body, time.Now()); err != nil {
			done()
			return "", refuse(http.StatusUnauthorized, "signature", err)
		}
	}
	v := jsontext.Value(body)
	if !v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		done()
		return "", refuse(http.StatusBadRequest, "body", errors.New("the body is not JSON: deliveries are taken as application/json"))
	}
	return h.accept(r, e, &delivery{body: body}, done)
}

// receive reads a body, for which there must be room; done gives it back.
func (h *hooks) receive(w http.ResponseWriter, r *http.Request) (body []byte, done func(), refused *refusal) {
	most := h.in.p.Webhooks.MaxBody
	large := refuse(http.StatusRequestEntityTooLarge, "size", fmt.Errorf("the body has more than %d bytes, the limit of webhooks.max_body", most))
	if r.ContentLength > most {
		return nil, nil, large
	}
	size := r.ContentLength
	if size < 0 {
		size = most
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	if h.bytes.Acquire(ctx, size) != nil {
		return nil, nil, refuse(http.StatusServiceUnavailable, "busy", errors.New("too many deliveries at once"))
	}
	done = sync.OnceFunc(func() { h.bytes.Release(size) })
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err == nil {
		return body, done, nil
	}
	done()
	if _, is := errors.AsType[*http.MaxBytesError](err); is {
		return nil, nil, large
	}
	return nil, nil, refuse(http.StatusBadRequest, "cut", errors.New("the body was cut off"))
}

// accept writes the records of a delivery to the streams that it is of.
func (h *hooks) accept(r *http.Request, e *endpoint, d *delivery, done func()) (string, *refusal) {
	var all []*kgo.Record
	var pages []*deliveredPage
	release := func() {
		for _, p := range pages {
			p.close()
		}
		done()
	}
	for _, s := range e.streams {
		mine, err := s.takesNow(r.Header, d)
		if err != nil {
			release()
			return "", err
		}
		if !mine {
			continue
		}
		if e.known.Has(d.id) {
			release()
			return "taken before", nil
		}
		p, records, err := s.page(h.in, d)
		if p != nil {
			pages = append(pages, p)
		}
		if err != nil {
			release()
			return "", err
		}
		all = append(all, records...)
	}
	if len(pages) == 0 {
		release()
		e.refused.add(refuse(http.StatusOK, "no_stream", fmt.Errorf("none of %d streams takes the type %.60q", len(e.streams), d.kind)))
		return "of no stream", nil
	}
	if err := h.durable(r.Context(), all, release); err != nil {
		return "", err
	}
	e.known.Add(d.id)
	for _, p := range pages {
		p.count()
	}
	return "taken", nil
}

// takesNow is [delivered.takes], refused while the stream is paused.
func (s *delivered) takesNow(header http.Header, d *delivery) (bool, *refusal) {
	mine, err := s.takes(header, d)
	if err == nil && mine {
		if shut, _ := s.gate.state(); shut {
			err = refuse(http.StatusServiceUnavailable, "paused", errPaused)
		}
	}
	return mine, err
}

// durable writes records, and returns nil when Kafka has all of them. release is called when their bytes are not needed
// any more, which may be later: a record that is on its way cannot be taken back.
func (h *hooks) durable(ctx context.Context, records []*kgo.Record, release func()) *refusal {
	if len(records) == 0 {
		release()
		return nil
	}
	const who = "webhooks"
	if err := h.produce(ctx, records, release); err != nil {
		h.in.waits.On(kafka, who, err)
		if unknownTopic(err) {
			h.client.PurgeTopicsFromProducing(topicsOf(records)...)
		}
		return refuse(http.StatusServiceUnavailable, "kafka", errors.New("it cannot be stored now"))
	}
	h.in.waits.Done(kafka, who)
	return nil
}

// produce is durable, with the error of Kafka.
func (h *hooks) produce(ctx context.Context, records []*kgo.Record, release func()) error {
	var mu sync.Mutex
	var failed error
	left := len(records)
	ended := make(chan struct{})
	for _, rec := range records {
		// What is asked for is finished even if the sender hangs up.
		h.client.TryProduce(context.WithoutCancel(ctx), rec, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil && failed == nil {
				failed = err
			}
			if left--; left == 0 {
				release()
				close(ended)
			}
		})
	}
	timer := time.NewTimer(durableWithin)
	defer timer.Stop()
	select {
	case <-ended:
		mu.Lock()
		defer mu.Unlock()
		return failed
	case <-timer.C:
		return errors.New("no answer of Kafka in time")
	}
}

func topicsOf(records []*kgo.Record) []string {
	var out []string
	for _, r := range records {
		if !slices.Contains(out, r.Topic) {
			out = append(out, r.Topic)
		}
	}
	return out
}

// takes reports whether a delivery is the stream's, and notes its type and its id.
func (s *delivered) takes(header http.Header, d *delivery) (bool, *refusal) {
	if s.hook.Type != "" {
		d.kind = header.Get(s.hook.Type)
	} else if s.hook.TypeAt != nil {
		d.kind = textAt(d.body, s.hook.TypeAt)
	}
	if s.hook.ID != "" {
		d.id = header.Get(s.hook.ID)
	} else if s.hook.IDAt != nil {
		d.id = textAt(d.body, s.hook.IDAt)
	}
	if (s.hook.Types != nil || s.hook.Deletes != nil) && !slices.Contains(s.hook.Types, d.kind) && !slices.Contains(s.hook.Deletes, d.kind) {
		return false, nil
	}
	if s.when.when == nil {
		return true, nil
	}
	if d.body = bytes.TrimSpace(d.body); len(d.body) == 0 || d.body[0] != '{' {
		return false, nil
	}
	is, err := s.when.holds(d.body)
	if err != nil {
		return false, refuse(http.StatusBadRequest, "when", fmt.Errorf("stream %s: ingest.webhook.when cannot be evaluated: %w", s.stream.Name, err))
	}
	return is, nil
}

// textAt is a text, or a number as it is written, in a body; empty: it has none there.
func textAt(body []byte, path []string) string {
	var found [1]jsontext.Value
	cut.NewFields(path).Find(body, found[:])
	if v := found[0]; v.Kind() == '"' {
		text, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return ""
		}
		return string(text)
	}
	return strings.TrimSpace(string(found[0]))
}
