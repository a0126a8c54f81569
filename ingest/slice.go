package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/known"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/ingest/written"
	"github.com/millrace-io/millrace/internal/calendar"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// slice is what a claimed slice of a stream needs to be fetched. One goroutine runs it; the owner of its partition
// commits its pages.
type slice struct {
	in       *Ingest
	stream   *pipeline.Stream
	name     string
	key      string            // in the state topic
	who      string            // as it is named where it waits
	template *request.Template // of its requests
	host     string            // of its API
	pager    paginate.Pager
	paging   *pipeline.Paginate // of pager
	reader   *reader
	client   *fetch.Client
	log      *slog.Logger
	metrics  streamMetrics
	queue    chan<- *page // to the owner, in order
	gate     *gate        // of the stream
	schedule calendar.Schedule
	jobs     *jobRules // nil: there is no report job
	recorded bool      // requests go to no API

	plan    cursor.Cursor  // after the last page handed to the owner
	quoted  jsontext.Value // name
	shared  bool           // another slice may write the same keys
	full    bool           // each pass fetches everything: there is no incremental field
	damaged damaged
	kept    []*page      // to commit before anything is fetched
	written *written.Log // only the commit loop uses it
	keys    *known.Keys  // so it does this; nil: complete reads delete nothing
	tally   tally        // of the pass under way: only the commit loop uses it
	doubted bool         // a notice about the end of a pass was raised
	waits   atomic.Bool  // for its API
	single  bool         // a page could not be fetched: the next request is for it, and for none after it

	toldDeletes bool    // a notice about deletions was raised: only the commit loop uses it
	order       inOrder // of the keys of the complete read under way: as keys

	back   *backfill        // what is left of its past; nil: it has no windows
	laid   []cursor.Stretch // of back, to be committed with the first page of the pass
	was    *cursor.Cursor   // before the pass, if laid is not nil
	of     *slice           // that this one fetches a window of; nil: it is a slice of its own
	window *cursor.Window   // if of is not nil
	walks  walks            // over window
	walk   uint64           // sum of the keys that the one under way brought

	added   []byte          // what each record is given: see [request.Template.Added]
	nothing bool            // the API has nothing for it, which is not passed over by the pipeline file's word
	opening atomic.Bool     // the first page of a pass is asked for, and no other
	made    bool            // from a record of another stream
	child   *child          // nil: it is not made, or for a [Walk]
	sent    <-chan struct{} // closed when the page that was handed to the owner last is committed

	recordSize atomic.Int64 // bytes of a page for each of its records, of the page that was read last; 0: not known
}

// newSlice returns a slice; of a child, parent has the fields of the record that its requests are made with.
func (in *Ingest) newSlice(
	s *pipeline.Stream, name string, parent request.Values, c cursor.Cursor, queue chan<- *page,
) (*slice, error) {
	value := name // of the lists
	if s.Ingest.Deletions {
		value = strings.TrimPrefix(name, deletionsPrefix)
	}
	template, err := request.New(&s.Ingest, value)
	if err != nil {
		return nil, err
	}
	template = template.Of(parent)
	sl := &slice{
		in: in, stream: s, name: name, key: cursor.Key(s.Name, name), who: s.Name, template: template, queue: queue,
		gate: in.decisions.gates[s.Name],
		full: s.Ingest.Incremental == nil, pager: paginate.New(s.Ingest.Paginate), paging: &s.Ingest.Paginate,
		log: in.env.Log.With("stream", s.Name), metrics: in.metrics.stream(s.Name),
	}
	if name != "" {
		sl.who = sl.key
		sl.log = sl.log.With("slice", name)
	}
	if err := sl.compile(value); err != nil {
		return nil, err
	}
	if err := sl.connect(); err != nil {
		return nil, err
	}
	sl.goOn(c)
	return sl, nil
}

// compile makes what follows from the pipeline file. value is that of the slice in the lists.
func (s *slice) compile(value string) error {
	in := &s.stream.Ingest
	var err error
	if s.schedule, err = calendar.New(in); err != nil {
		return err
	}
	if s.jobs, err = newJobRules(in); err != nil {
		return err
	}
	if s.quoted, err = jsontext.AppendQuote(nil, value); err != nil {
		return fmt.Errorf("the name of slice %q: %w", s.name, err)
	}
	if s.added, err = s.template.Added(); err != nil {
		return err
	}
	s.shared = in.SharesKeys()
	s.reader, err = s.in.reader(s.stream, s.pager.Wants())
	return err
}

// goOn plans what is next after the cursor that was committed.
func (s *slice) goOn(c cursor.Cursor) {
	in := &s.stream.Ingest
	if c.Auto != nil && in.Paginate.Auto {
		s.pin(c.Auto)
	}
	s.plan = s.adopt(c)
	if !in.Paginate.Auto {
		s.plan.Auto = nil
	}
	s.plan.Shared = s.shared
	s.plan.Raw = s.in.topics.ID(topics.Raw(s.in.p.Name, s.stream.Name))
	s.plan = s.plan.Compare(s.reader.versions.Rule())
	if i := in.Incremental; i != nil && i.Window != nil {
		s.back = newBackfill(in, s.reader.scale, s.plan)
	}
	s.plan.Windows = nil
	s.plan.Known = newKnown(in, s.plan)
	seen := s.in.seen[s.stream]
	seen.restored(c)
	if leader, ok := s.pager.(paginate.Leader); ok && s.plan.Shown == leader.Shown() {
		seen.leads.Store(true)
	}
}

// connect makes the slice's client.
func (s *slice) connect() error {
	h := s.stream.Ingest.HTTP
	transport, err := s.in.transports.For(h)
	if err != nil {
		return err
	}
	s.client = fetch.NewClient(h, transport, s.in.budgets.For(h), s.in.memory)
	if s.client.Session, err = s.in.sessions.For(h, transport); err != nil {
		return err
	}
	s.client.Judge = s.reader.rules.judge
	s.client.Convert = converter(&s.stream.Ingest)
	s.client.ZipEntry = s.stream.Ingest.ZipEntry
	if u, err := url.Parse(h.BaseURL); err == nil {
		s.host = u.Host
	}
	s.observe()
	return nil
}

// observe counts what the client does, and has it told where the slice waits for its API.
func (s *slice) observe() {
	s.client.Observe = s.in.metrics.observer(s.stream.Name)
	count := s.client.Observe.Retry
	s.client.Observe.Retry = func(e *fetch.Error) {
		count(e)
		if e.Tried >= warnAfter || e.After >= longPause {
			s.waiting(e)
		}
	}
	s.client.Observe.Rests = func(d time.Duration) {
		if d >= longPause {
			s.waiting(&fetch.Error{URL: s.client.Redactor().Text(s.stream.Ingest.HTTP.BaseURL), Status: http.StatusTooManyRequests, Text: "the API says that no requests are left for now", After: d})
		}
	}
}

// warnAfter is how many attempts at a page may fail before somebody is told.
const warnAfter = 3

// longPause is how long a pause that the API asks for is told of at once.
const longPause = 10 * time.Second

// adopt is the cursor to go on from, given the one that was committed: the pipeline file may have changed since.
func (s *slice) adopt(c cursor.Cursor) cursor.Cursor {
	kind := s.reader.scale.Kind()
	if c.Version == 0 { // never fetched
		c = cursor.Start(kind)
	}
	if c.Kind != kind {
		s.log.Warn("incremental.format was changed: the position reached does not count any more, " +
			"everything is asked for again")
		c.Kind, c.Since, c.High, c.First, c.Windows = kind, nil, nil, nil, nil
	}
	if i := s.stream.Ingest.Incremental; i != nil {
		if c.Field != "" && c.Field != i.Field {
			s.log.Warn("incremental.field was changed: the position reached does not count any more, "+
				"everything is asked for again", "was", c.Field)
			c.Since, c.High, c.First, c.Windows = nil, nil, nil, nil
			if !c.Done {
				c.Request = "" // the pages seen do not count either
			}
		}
		c.Field = i.Field
	}
	c = s.unwindowed(c)
	if !c.Done && c.Request != s.requestHash(c) {
		s.log.Info("the request was changed in the pipeline file: the pass begins again")
		c = s.begin(c, c.Started)
	}
	return c
}

// begin is the start of the pass after c.
func (s *slice) begin(c cursor.Cursor, at time.Time) cursor.Cursor {
	if s.of != nil { // a window stays what it is
		c.Next, c.Partial, c.Done = s.pager.First(), nil, false
		return c
	}
	whole := s.wholeIsDue(c, at)
	first := s.pager.First()
	if !whole {
		first = s.first(c)
	}
	next := c.Begin(at, first)
	next.Whole = whole
	next.Request = s.requestHash(next)
	return next
}

// run fetches passes until ctx ends. It waits out whatever is wrong with the API: that never ends a slice.
func (s *slice) run(ctx context.Context) {
	if s.stream.Ingest.Events != nil {
		s.follow(ctx)
		return
	}
	defer s.goesOn()
	defer s.in.waits.Drop(s.who)
	if s.windowed() {
		var filling sync.WaitGroup
		defer filling.Wait()
		filling.Go(func() { s.fill(ctx) })
	}
	s.queueKept(ctx)
	for ctx.Err() == nil {
		err := s.awaitPass(ctx)
		if err == nil {
			err = s.gate.enter(ctx)
		}
		if err == nil {
			err = s.apart(ctx)
		}
		switch {
		case errors.Is(err, errPaused):
			s.goesOn() // what it waited for is asked for again later
		case err != nil && ctx.Err() == nil && !errors.Is(err, errCut):
			s.rest(ctx, err)
		}
	}
}

// rest waits after a pass that the API did not let through. What was asked for then is asked for again, on its own.
func (s *slice) rest(ctx context.Context, err error) {
	s.waiting(err)
	s.single = true
	s.beginAgain(err)
	_ = stage.Sleep(ctx, max(s.stream.Ingest.HTTP.Retry.Max, minPause))
}

// minPause is how long a slice pauses at least when no attempt at a page succeeded, or the API refused it.
const minPause = 10 * time.Millisecond

// awaitPass returns when a pass is under way or due.
func (s *slice) awaitPass(ctx context.Context) error {
	if !s.plan.Done || s.plan.Torn() {
		return nil
	}
	ended := s.plan.Pass > 0 && !s.plan.Ended.Before(s.in.started) // one in this process
	if ended {
		if s.settled() {
			s.in.passEnded(s.key)
		}
		if !s.schedule.Repeats() {
			<-ctx.Done()
			return ctx.Err()
		}
	}
	if s.plan.Pass > 0 && s.schedule.Repeats() && (ended || !s.in.cfg.Once) {
		return s.schedule.Sleep(ctx, s.plan.Started)
	}
	return nil
}

// waiting notes that the slice waits for its API. What is transient is logged once for all slices of an API; what may
// need an operator, once for each. It may be called concurrently.
func (s *slice) waiting(err error) {
	r := s.client.Redactor()
	cause := r.Text(stage.Cause(err))
	// the latter: not what it should be
	if e, ok := errors.AsType[*fetch.Error](err); !ok || !e.Transient() || e.Status/100 == 2 {
		cause = s.who + ": " + cause
	}
	s.in.waits.On(s.host, s.who, &redacted{text: r.Text(err.Error()), cause: errors.New(cause)})
	if !s.waits.Swap(true) {
		s.metrics.waiting.Inc()
	}
}

// goesOn notes that the slice waits no longer.
func (s *slice) goesOn() {
	s.in.waits.Done(s.host, s.who)
	if s.waits.Swap(false) {
		s.metrics.waiting.Dec()
	}
}
