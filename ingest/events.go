package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/ingest/sse"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
)

// A stream of Server-Sent Events has no pages and no passes: it is one pass that does not end. What comes within a
// moment is a page, and the id of its last event is the cursor, which is committed with it: whoever connects next, this
// process or another one, sends it as Last-Event-ID.

const (
	eventsTogether = 20 * time.Millisecond // that come within this time are one page
	// of a page, but for one that is larger: a transaction has room for it, see [leastRoom].
	eventsBytes = 32 << 10
	eventsCount = 500              // of a page
	idsEvery    = 10 * time.Second // between two pages that hold nothing but an id
	eventStream = "text/event-stream"
	noticeNoID  = "no_event_id"
)

// errIdle says that nothing has come for so long that the connection may be dead.
var errIdle = errors.New("nothing has come within sse.idle: the connection is taken for dead")

// errClosed says that the server has ended the answer, which is no failure if it brought something.
var errClosed = errors.New("the server has closed the connection")

// follow takes events until ctx ends. It waits out whatever is wrong with the API.
func (s *slice) follow(ctx context.Context) {
	defer s.goesOn()
	defer s.in.waits.Drop(s.who)
	s.queueKept(ctx)
	attempt := 0
	for ctx.Err() == nil {
		err := s.gate.enter(ctx)
		c := &connection{s: s}
		if err == nil {
			err = c.run(ctx)
		}
		if errors.Is(err, errPaused) {
			s.goesOn()
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if attempt++; c.received {
			attempt = 1
		}
		wait := s.client.Backoff(attempt)
		if e, ok := errors.AsType[*fetch.Error](err); !ok || e.Transient() {
			wait = max(wait, c.retry)
		} else {
			wait = max(wait, s.stream.Ingest.HTTP.Retry.Max)
		}
		if !c.received || !errors.Is(err, errClosed) {
			s.metrics.reconnects.Inc()
			if e, ok := errors.AsType[*fetch.Error](err); attempt >= warnAfter || ok && !e.Transient() || errors.As(err, new(*sse.TooLargeError)) {
				s.waiting(err)
			}
		}
		_ = stage.Sleep(ctx, max(wait, minPause))
	}
}

// connection is one connection to a stream of events.
type connection struct {
	s        *slice
	stream   *fetch.Stream
	received bool          // something came
	retry    time.Duration // that the server asks for
	noID     bool          // an event came, and none before had an id
}

// connect asks for what follows the cursor.
func (c *connection) connect(ctx context.Context) (err error) {
	s := c.s
	if s.plan.Done {
		s.plan = s.begin(s.plan, time.Now())
	}
	r, err := s.asks(s.plan, request.Values{})
	if err != nil {
		return err
	}
	if id := s.plan.Next.Cursor; id != "" {
		with := *r
		if with.Header = r.Header.Clone(); with.Header == nil {
			with.Header = http.Header{}
		}
		with.Header.Set("Last-Event-ID", id)
		r = &with
	}
	if c.stream, err = s.client.Stream(ctx, r, eventStream); err == nil {
		s.goesOn()
	}
	return err
}

// run connects, and takes events until the connection ends, or the stream is paused.
func (c *connection) run(ctx context.Context) error {
	open, cancel := c.s.gate.during(ctx)
	defer cancel()
	open, end := context.WithCancelCause(open)
	defer end(nil)
	err := c.connect(open)
	if err == nil {
		defer c.stream.Close()
		err = c.receive(open, end)
	}
	if ctx.Err() == nil && errors.Is(context.Cause(open), errPaused) {
		return errPaused
	}
	if errors.Is(context.Cause(open), errIdle) {
		return errIdle
	}
	return err
}

// receive makes pages of what comes, until nothing more does.
func (c *connection) receive(ctx context.Context, end context.CancelCauseFunc) error {
	idle := time.AfterFunc(c.s.stream.Ingest.Events.Idle, func() { end(errIdle); c.stream.Close() })
	defer idle.Stop()
	body := &touched{r: c.stream.Body, touch: func() { idle.Reset(c.s.stream.Ingest.Events.Idle) }}
	reader := sse.NewReader(body, c.s.plan.Next.Cursor, 4*int(c.s.reader.max))
	events := make(chan sse.Event)
	failed := make(chan error, 1) // one send, so that it never waits
	go func() {
		defer close(events)
		for {
			e, err := reader.Next()
			if err != nil {
				failed <- err
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
				failed <- ctx.Err()
				return
			}
		}
	}()
	err := c.batches(ctx, events)
	end(nil)
	c.stream.Close()
	for range events { // it ends now
	}
	read := <-failed
	if c.retry = reader.Retry(); c.retry < 0 {
		c.retry = 0
	}
	c.received = body.some
	switch {
	case err != nil:
		return err
	case errors.Is(read, io.EOF):
		return errClosed
	}
	return read
}

// touched tells of each piece that is read.
type touched struct {
	r     io.Reader
	touch func()
	some  bool
}

// Read is that of [io.Reader].
func (t *touched) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if n > 0 {
		t.some = true
		t.touch()
	}
	return n, err
}

// batches queues what comes together as pages, until events is closed or ctx ends.
func (c *connection) batches(ctx context.Context, events <-chan sse.Event) error {
	b := &eventBatch{s: c.s}
	flush := time.NewTimer(idsEvery)
	defer flush.Stop()
	soon := false
	for {
		select {
		case e, ok := <-events:
			if !ok || ctx.Err() != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				return c.queue(ctx, b)
			}
			c.s.goesOn()
			c.noticeID(e)
			b.add(e)
			if b.full() {
				if err := c.queue(ctx, b); err != nil {
					return err
				}
				flush.Reset(idsEvery)
				soon = false
			} else if len(b.values) > 0 && !soon {
				flush.Reset(eventsTogether)
				soon = true
			}
		case <-flush.C:
			if err := c.queue(ctx, b); err != nil {
				return err
			}
			flush.Reset(idsEvery)
			soon = false
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// noticeID tells of a server whose events have no id: what it sends while nobody is connected is missed.
func (c *connection) noticeID(e sse.Event) {
	s := c.s
	switch {
	case e.ID != "":
		s.in.notices.Clear(s.stream.Name, noticeNoID)
	case !c.noID:
		c.noID = true
		s.in.notices.Raise(s.stream.Name, noticeNoID, "the events have no id: what is sent while no process is connected is missed", "slice", s.name)
	}
}

// queue hands what was collected to the owner, as a page.
func (c *connection) queue(ctx context.Context, b *eventBatch) error {
	if b.empty(c.s.plan.Next.Cursor) {
		return nil
	}
	p, err := b.page(c.stream)
	if err != nil {
		return err
	}
	select {
	case c.s.queue <- p:
		return nil
	case <-ctx.Done():
		p.close()
		return ctx.Err()
	}
}

// eventBatch is events that become a page.
type eventBatch struct {
	s      *slice
	id     string // of the last event, those that are left out included
	seen   bool   // there was one
	values [][]byte
	bytes  int
}

func (b *eventBatch) full() bool { return b.bytes >= eventsBytes || len(b.values) >= eventsCount }

// empty reports whether there is nothing to commit where the cursor is at.
func (b *eventBatch) empty(at string) bool { return len(b.values) == 0 && (!b.seen || b.id == at) }

func (b *eventBatch) add(e sse.Event) {
	settings := b.s.stream.Ingest.Events
	b.id, b.seen = e.ID, true
	kind := e.Type
	if kind == "" {
		kind = "message"
	}
	if e.Data == nil || settings.Types != nil && !slices.Contains(settings.Types, kind) {
		return
	}
	value := e.Data
	if settings.Wrap {
		value = wrapped(e, kind)
	}
	b.values = append(b.values, value)
	b.bytes += len(value)
}

// wrapped is an event as an object: its id, its type and its data, which is a text unless it is JSON.
func wrapped(e sse.Event, kind string) []byte {
	out := []byte(`{"id":`)
	out, _ = jsontext.AppendQuote(out, e.ID) // what is not UTF-8 is replaced, see the Encoding standard
	out, _ = jsontext.AppendQuote(append(out, `,"event":`...), kind)
	out = append(out, `,"data":`...)
	if jsontext.Value(e.Data).IsValid() {
		return append(append(out, e.Data...), '}')
	}
	out, _ = jsontext.AppendQuote(out, bytes.ToValidUTF8(e.Data, []byte("\ufffd")))
	return append(out, '}')
}

// page makes a page of the batch, which is empty then, and moves the plan past it.
func (b *eventBatch) page(from *fetch.Stream) (*page, error) {
	s := b.s
	var text []byte
	var broken []cut.SyntaxError
	for i, value := range b.values {
		start := int64(len(text))
		text = append(append(text, value...), '\n')
		if !jsontext.Value(value).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) || len(bytes.TrimSpace(value)) == 0 {
			if len(value) == 0 {
				text = append(text[:start], '-', '\n') // which stands for nothing
			}
			broken = append(broken, cut.SyntaxError{Record: i, Offset: start, Start: start, End: int64(len(text)) - 1, Err: errors.New("the data of the event is something else")})
		}
	}
	body, err := s.in.memory.Receive(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return nil, err
	}
	a := &fetch.Answer{Body: body, Status: http.StatusOK, URL: from.URL, Header: from.Header, Was: wasEvents, Time: time.Now(), Clock: from.Clock}
	if len(b.values) == 0 {
		a.Nothing = http.StatusNoContent
	}
	p := &page{slice: s, asked: from.URL, url: s.client.Redactor().URL(from.URL), at: s.plan.Next, broken: broken}
	if err := s.reader.readBut(a, p); err != nil {
		p.close()
		return nil, err
	}
	s.place(p, paginate.Position{Index: s.plan.Next.Index + 1, Cursor: b.id}, paginate.GoesOn)
	*b = eventBatch{s: s}
	return p, nil
}

// eventsHash names what event ids belong to: another query may show other events, but has the same ids.
func (s *slice) eventsHash() string {
	return fmt.Sprintf("%016x", xxh3.HashString(s.client.Name(s.stream.Ingest.HTTP.BaseURL+s.stream.Ingest.Path+"\n"+s.name)))
}

// continuous reports whether a stream has no pass that ends.
func continuous(in *pipeline.Ingest) bool { return in.Webhook != nil || in.Events != nil }
