package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
)

// Walk says how to look at the pages of a stream without Kafka. What it finds is what the stage would: it is the same
// code that asks, cuts and follows.
type Walk struct {
	Stream string // name
	Slice  string // name; empty: the first; of a child, those of the first records of its parent
	Pages  int    // at most, of each pass; 0: all
	Passes int    // at most, of a stream with windows so many of these, from the first; 0: one
	// Recorded says that requests go to no API, so that credentials cannot be spent.
	Recorded bool
	// Transport is as that of [Config].
	Transport func(http.RoundTripper) http.RoundTripper
}

// WalkedPage is a page of a walk. What it holds is valid as long as the call that it is given to.
type WalkedPage struct {
	Pass    int // from 0
	Index   int // in its pass, from 0
	Slice   string
	URL     string // that was asked for, without secrets
	Header  http.Header
	Bytes   int64
	Records []WalkedRecord
	Rest    jsontext.Value  // the answer without its records; nil: it has nothing else
	Shape   string          // what the records were taken for, if it was not declared
	Next    string          // URL of the next page, without secrets; empty: there is none
	Ended   paginate.Reason // why the pass ends with it; GoesOn: it does not
	Since   string          // that was asked for; empty: nothing was
	High    string          // since, if the pass ended here; empty: there is no incremental field
}

// WalkedRecord is a record of a page.
type WalkedRecord struct {
	Value     []byte // as the API sent it
	Key       []byte // the raw key; nil: it has none
	Source    int64  // its version, if HasSource
	HasSource bool
	Reason    string // why it is a dead letter; empty: it is none
	Deleted   bool   // it says that its key was deleted
	Step      string // what refused it, as a path in the pipeline file
}

// Run walks over the pages of p's stream and gives each to see, whose error ends it. Notices that the stage would raise
// are given to notice. The error says what the stage would wait for.
func (w Walk) Run(ctx context.Context, p *pipeline.Pipeline, see func(*WalkedPage) error, notice func(string)) error {
	s := p.Stream(w.Stream)
	if s == nil {
		_, err := p.Choose([]string{w.Stream})
		return err
	}
	if err := w.check(s); err != nil {
		return err
	}
	cfg := DefaultConfig()
	cfg.Transport = w.Transport
	in, err := New(p, cfg, stage.Env{
		Instance: "walk", Streams: []string{s.Name}, Log: slog.New(noticeHandler{notice: notice}),
		Metrics: prometheus.NewRegistry(), Health: &stage.Health{},
	})
	if err != nil {
		return err
	}
	defer in.close()
	looked, err := w.slices(ctx, p, s, notice)
	if err != nil {
		return err
	}
	for _, of := range looked {
		sl, err := in.newSlice(s, of.name, of.parent, cursor.Cursor{}, nil)
		if err != nil {
			return err
		}
		sl.recorded = w.Recorded
		if s.Ingest.Events != nil {
			return w.events(ctx, sl, see)
		}
		if more, err := w.passes(ctx, sl, see); err != nil || !more {
			return err
		}
	}
	return nil
}

// check says why a stream cannot be walked over.
func (w Walk) check(s *pipeline.Stream) error {
	if s.Ingest.Webhook != nil {
		return fmt.Errorf("the stream %s is delivered by a webhook: there is nothing to ask for, and `millrace test` runs its steps over records that are written in a test", s.Name)
	}
	if o := s.Ingest.HTTP.Auth.OAuth2; o != nil && o.RefreshToken != "" && !w.Recorded {
		return errors.New("http.auth.oauth2: a refresh token may be spent by its use, and what comes in its place is kept only by a stage that runs: " +
			"look at this stream with credentials that stay as they are, such as a bearer")
	}
	return nil
}

// passes walks over the passes of a slice. It reports whether the walk goes on with the next slice.
func (w Walk) passes(ctx context.Context, s *slice, see func(*WalkedPage) error) (bool, error) {
	if s.stream.Ingest.ForEach != nil {
		s.mayBeNothing()
	}
	s.plan.Known = nil // which passes read everything is a matter of what was read before
	for n := range max(w.Passes, 1) {
		of := s
		// what passes ask for depends on the time of day, and may be nothing: the past is what there is to see
		if s.windowed() {
			var err error
			if of, err = s.walkedWindow(); err != nil || of == nil {
				return false, err
			}
		}
		if err := w.pass(ctx, of, n, see); err != nil {
			return false, err
		}
	}
	return true, nil
}

// walkedSlice is a slice that a walk looks at.
type walkedSlice struct {
	name   string
	parent request.Values
}

// slices are those that the walk looks at.
func (w Walk) slices(ctx context.Context, p *pipeline.Pipeline, s *pipeline.Stream, notice func(string)) ([]walkedSlice, error) {
	if s.Ingest.ForEach != nil {
		return w.children(ctx, p, s, notice)
	}
	names := s.Ingest.SliceNames()
	switch {
	case w.Slice == "":
		return []walkedSlice{{name: names[0]}}, nil
	case !slices.Contains(names, w.Slice):
		return nil, fmt.Errorf("the stream %s has no slice %q; it has %q", s.Name, w.Slice, names)
	}
	return []walkedSlice{{name: w.Slice}}, nil
}

// walkedChildren is how many records of a parent are looked at where none is named.
const walkedChildren = 3

var errEnough = errors.New("there are enough")

// children are the slices of the first records on the first page of the parent, or the one that is named, on whichever
// page.
func (w Walk) children(ctx context.Context, p *pipeline.Pipeline, s *pipeline.Stream, notice func(string)) ([]walkedSlice, error) {
	of := Walk{Stream: s.Ingest.ForEach.Parent, Pages: 1, Recorded: w.Recorded, Transport: w.Transport}
	if w.Slice != "" {
		of.Pages = 0
	}
	paths := s.Ingest.ParentFields()
	crossed := s.Ingest.Slices.Combinations()
	var found []walkedSlice
	err := of.Run(ctx, p, func(page *WalkedPage) error {
		for _, r := range page.Records {
			if r.Reason != "" {
				continue
			}
			values := parentValues(r.Value, paths)
			for _, combination := range crossed {
				name := pipeline.SliceName(append([]string{string(r.Key)}, combination...)...)
				if w.Slice == "" || w.Slice == name {
					found = append(found, walkedSlice{name, values})
				}
				if w.Slice == name || w.Slice == "" && len(found) == walkedChildren {
					return errEnough
				}
			}
		}
		return nil
	}, notice)
	switch {
	case err != nil && !errors.Is(err, errEnough):
		return nil, fmt.Errorf("the parent %s: %w", of.Stream, err)
	case len(found) == 0 && w.Slice != "":
		return nil, fmt.Errorf("the parent %s has no record for the slice %q: a slice is named by the key of its record", of.Stream, w.Slice)
	case len(found) == 0:
		return nil, fmt.Errorf("the first page of the parent %s has no records to make requests from", of.Stream)
	}
	return found, nil
}

// parentValues are the fields of a record that the requests of its child are made with.
func parentValues(record []byte, paths map[string][]string) request.Values {
	values := request.Values{}
	for name, path := range paths {
		var v [1]jsontext.Value
		if cut.NewFields(path).Find(record, v[:]); v[0] != nil && v[0].Kind() != 'n' {
			values[name] = request.JSON(v[0].Clone())
		}
	}
	return values
}

func (w Walk) pass(ctx context.Context, s *slice, pass int, see func(*WalkedPage) error) error {
	if s.plan.Done {
		s.plan = s.begin(s.plan, time.Now())
	}
	loop := paginate.Loop{Repeats: s.repeats(), MaxEmpty: int64(s.stream.Ingest.EmptyPages)}
	of, at := s.plan, s.plan.Next
	for n := 0; w.Pages <= 0 || n < w.Pages; n++ {
		s.opening.Store(at == s.pager.First())
		p, err := s.fetch(ctx, of, at)
		if err != nil {
			return err
		}
		next, ended, err := s.walked(p, pass, &loop, see)
		p.close()
		if err != nil {
			return err
		}
		if ended != paginate.GoesOn {
			return nil
		}
		at = next
	}
	return nil
}

// walked shows a page.
func (s *slice) walked(
	p *page, pass int, loop *paginate.Loop, see func(*WalkedPage) error,
) (next paginate.Position, ended paginate.Reason, err error) {
	since := s.since(s.plan)
	next, ended, wrong := s.follows(p, loop)
	if wrong == nil {
		s.guess(p.guessed)
		s.place(p, next, ended)
	} else {
		p.after = s.plan.See(p.seen, p.at.Index == s.pager.First().Index)
	}
	out := &WalkedPage{
		Pass: pass, Index: int(p.at.Index), Slice: s.name, URL: p.url, Header: p.answer.Header, Rest: p.summary.Rest,
		Shape: p.guessed, Ended: ended, Since: since,
	}
	if p.answer.Body != nil {
		out.Bytes = p.answer.Body.Size()
	}
	if p.after.Done && s.of == nil {
		out.High = s.since(s.begin(p.after, time.Now()))
	}
	if wrong == nil && ended == paginate.GoesOn {
		r, err := s.request(p.after, next)
		if err != nil {
			return next, ended, err
		}
		out.Next = s.client.Redactor().URL(r.URL)
	}
	err = s.reader.each(p, 0, func(_ int, rec *record, _ bool) error {
		s.reader.judge(rec, p)
		out.Records = append(out.Records, walkedRecord(rec))
		return nil
	})
	if err == nil {
		err = see(out)
	}
	if err == nil && wrong != nil {
		err = &pageError{url: p.url, err: wrong}
	}
	return next, ended, err
}

// since is what is asked for in the pass of c; empty: everything.
func (s *slice) since(c cursor.Cursor) string {
	i := s.stream.Ingest.Incremental
	switch {
	case i == nil:
		return ""
	case c.Since == nil || c.Whole:
		return i.Start
	case c.Until != nil:
		since, until := s.reader.scale.Bounds(cursor.Span{From: *c.Since, To: *c.Until}, c.Form, i.Window.Bounds == "exclusive", i.Window.Bounds == "days")
		return since + " until " + until
	}
	text, _ := s.reader.scale.Ask(*c.Since, c.Form)
	return text
}

// noticeHandler is a log of which the warnings are notices. Nothing of theirs but the text matters to a walk.
type noticeHandler struct{ notice func(string) }

// Enabled is that of [slog.Handler].
func (h noticeHandler) Enabled(_ context.Context, level slog.Level) bool {
	return h.notice != nil && level >= slog.LevelWarn
}

// Handle is that of [slog.Handler].
func (h noticeHandler) Handle(_ context.Context, r slog.Record) error {
	h.notice(r.Message)
	return nil
}

// WithAttrs is that of [slog.Handler].
func (h noticeHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup is that of [slog.Handler].
func (h noticeHandler) WithGroup(string) slog.Handler { return h }
