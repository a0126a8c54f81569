package ingest

import (
	"container/heap"
	"context"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/known"
	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/ingest/written"
)

// child is a slice that is made from a record of another stream, while it is not fetched: what the state topic has of
// it. Its feed's mutex guards it.
type child struct {
	feed     *feed
	name     string
	state    []byte            // its cursor
	segments map[uint64][]byte // of what it has written
	forget   bool              // which does not count: it is in a raw topic that is gone

	keys *known.Keys // as of [slice]; nil: complete reads delete nothing

	want, done int64 // revisions of the record, see [cursor.Child]
	under      bool  // a pass is under way
	gone       bool  // the record was deleted
	began      time.Time
	rereads    rereads

	active    bool // a slice fetches it
	leaving   bool // it is about to be removed
	cancel    context.CancelFunc
	again     bool // the API does not know the position any more: its pass begins again
	fromStart bool // nor the one that was kept of the pass before: it asks for everything
	failures  int  // in a row
	refused   bool // by the API, the last time: another attempt hardly helps
	retryAt   time.Time

	due time.Time
	at  int // in the schedule; notDue: it is not in it

	countedDue, countedFailing bool // in what is told of the stream
	doubted, toldDeletes       bool // as of [slice], which lasts as long as a pass
}

const notDue = -1

func (c *child) key() string { return cursor.Key(c.feed.stream.Name, c.name) }

// set takes what the state topic has of the child by now.
func (c *child) set(state []byte, cur cursor.Cursor) {
	c.state = state
	c.want, c.done, c.gone = cur.Child.Want, cur.Child.Done, cur.Child.Gone
	c.under, c.began = !cur.Done, cur.Started
	c.rereads = c.feed.rereads(cur)
	if c.gone && !c.active {
		c.feed.gone[c] = true
		signal(c.feed.reaping)
	}
}

// dirty reports whether there is something to fetch: a revision that is not done, or the rest of a pass. What was
// listed from another raw topic waits to be listed again.
func (c *child) dirty() bool {
	return !c.gone && c.want>>revisionBits == c.feed.at.Generation && (c.want != c.done || c.under)
}

// isDue says when the child is to be fetched; ok is false if it is not.
func (c *child) isDue() (at time.Time, ok bool) {
	every := c.feed.stream.Ingest.Every
	again, reread := c.readAgain()
	switch {
	case c.active || c.gone:
		return time.Time{}, false
	case c.failures > 0:
		return c.retryAt, true
	case c.dirty():
		if c.at != notDue && !c.due.After(time.Now()) {
			return c.due, true // it keeps its turn
		}
		return time.Now(), true
	case c.want>>revisionBits != c.feed.at.Generation:
		return time.Time{}, false
	case every <= 0:
		return again, reread
	case c.feed.in.cfg.Once && c.began.Before(c.feed.in.started):
		return time.Now(), true
	}
	at = time.Now().Add(min(time.Until(c.began.Add(every)), every)) // a clock may have been set back
	if reread && again.Before(at) {
		at = again
	}
	return at, true
}

// slice is the slice that fetches the child.
func (f *feed) slice(c *child, cancel context.CancelFunc) (*slice, error) {
	f.mu.Lock()
	state, again, fromStart, failures := c.state, c.again, c.fromStart, c.failures
	segments, forget := maps.Clone(c.segments), c.forget
	c.cancel = cancel
	if c.gone {
		cancel()
	}
	f.mu.Unlock()
	cur, err := cursor.Decode(c.key(), state)
	if err != nil {
		return nil, err
	}
	s, err := f.in.newSlice(f.stream, c.name, fieldsOf(cur.Child), cur, f.queue)
	if err != nil {
		return nil, err
	}
	s.child, s.keys, s.single = c, c.keys, failures > 0
	s.doubted, s.toldDeletes = c.doubted, c.toldDeletes
	if fromStart {
		s.plan.Kept = ""
	}
	if again && !s.plan.Done {
		s.plan = s.begin(s.plan, time.Now())
	}
	of := *cur.Child
	if of.Begun == 0 || s.plan.Done || s.plan.Next == s.first(s.plan) {
		of.Begun = of.Want
	}
	s.plan.Child = &of
	s.mayBeNothing()
	s.written = written.New(f.remembers(segments), s.full, f.in.p.Kafka.MaxRecordBytes)
	return s, s.remember(segments, cur, forget)
}

// rememberedBytes is about how much a record takes in what a child remembers to have written.
const rememberedBytes = 20

// remembers is how many records a child may remember that has these segments: what the others leave of all that the
// process may remember, or its equal share, if that is more.
func (f *feed) remembers(segments map[uint64][]byte) int {
	own := 0
	for _, s := range segments {
		own += len(s)
	}
	all := f.in.cfg.RememberedInAll
	free := all - (int(f.in.childSegments.Load())-own)/rememberedBytes
	return min(f.in.cfg.RememberedRecords, max(free, all/max(f.in.ownedSlices(), int(f.kids.known.Load()), 1)))
}

// mayBeNothing has a slice that is made from a record passed over where the API has nothing for it, unless the pipeline
// file says what else is done: many APIs answer 404 in the place of an empty list, and a record may be deleted before
// this is known.
func (s *slice) mayBeNothing() {
	s.made = true
	rules := s.client.Judge
	s.client.Judge = func(status int, body []byte) fetch.Verdict {
		v := rules(status, body)
		if v.Do == "" && (status == http.StatusNotFound || status == http.StatusGone) && s.opening.Load() {
			v.Do = fetch.Skip
			s.nothing = true
		}
		return v
	}
}

// fieldsOf are the fields of the parent's record, by placeholder. null stands for nothing.
func fieldsOf(c *cursor.Child) request.Values {
	values := request.Values{}
	for name, v := range c.Fields {
		values[name] = request.JSON(jsontext.Value(v))
	}
	return values
}

// commits is the cursor after a page of the child, as the transaction in hand takes it: with what is known of the
// parent's record by now, which may have been written again since the pass began.
func (c *child) commits(after cursor.Cursor) (cursor.Cursor, error) {
	c.feed.mu.Lock()
	defer c.feed.mu.Unlock()
	known, err := cursor.Decode(c.key(), c.state)
	if err != nil {
		return after, err
	}
	of := *known.Child
	of.Begun = after.Child.Begun
	if after.Done {
		of.Begun, of.Done = 0, of.Begun
	}
	after.Child = &of
	return after, nil
}

// took notes what the transaction in hand has of the child. If that fails, all is restored from the state topic.
func (c *child) took(state []byte, cur cursor.Cursor, segments []written.Record) {
	c.feed.mu.Lock()
	defer c.feed.mu.Unlock()
	for _, r := range segments {
		c.feed.in.childSegments.Add(int64(len(r.Value) - len(c.segments[r.Segment])))
		switch {
		case r.Value == nil:
			delete(c.segments, r.Segment)
		case c.segments == nil:
			c.segments = map[uint64][]byte{r.Segment: r.Value}
		default:
			c.segments[r.Segment] = r.Value
		}
	}
	c.forget = false
	c.set(state, cur)
}

// passedOver notes that the API has nothing at the child's first page.
func (c *child) passedOver(p *page) {
	c.feed.kids.passedOver(fmt.Sprintf("%s: HTTP %d", p.url, p.answer.Status))
}

// schedule is children in the order in which they are due: see [heap.Interface].
type schedule []*child

var _ heap.Interface = (*schedule)(nil)

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due.Before(s[j].due) }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].at, s[j].at = i, j
}

// Push is that of [heap.Interface].
func (s *schedule) Push(x any) {
	c, _ := x.(*child)
	c.at = len(*s)
	*s = append(*s, c)
}

// Pop is that of [heap.Interface].
func (s *schedule) Pop() any {
	old := *s
	c := old[len(old)-1]
	old[len(old)-1] = nil
	c.at = notDue
	*s = old[:len(old)-1]
	return c
}
