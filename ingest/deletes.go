package ingest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/known"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// Some APIs do not say what was deleted: a record is not shown any more. Where the pipeline file says so, a complete
// read of a slice writes tombstones of the keys that it did not show, in the transaction of the cursor that ends its
// pass. Which keys are there is in memory, as hashes, and in the state topic, with their text: see package known. The
// commit loop marks what a page shows before the page is written. Marks are in memory alone: a read during which the
// partition went to another owner deletes nothing, and is made once more.

// gone is a key that is to be deleted.
type gone struct {
	id       uint64
	key      []byte
	revision known.Revision // the newest
}

// goneBytes is how many bytes of records the deletions of a page make, about.
func (p *page) goneBytes() (n int64) {
	for _, g := range p.gone {
		n += int64(len(g.key)) + headerBytes
	}
	return n
}

// newKnown is what a slice knows of complete reads, given what was committed.
func newKnown(in *pipeline.Ingest, c cursor.Cursor) *cursor.Known {
	switch {
	case in.Deletes == nil:
		return nil
	case c.Known == nil:
		return &cursor.Known{Era: c.Pass + 1, Base: c.Pass + 1}
	}
	return c.Known
}

// survey marks the keys that a page of a complete read shows, and decides what is gone if it is the last one. s is nil
// for a listing.
func (s *slice) survey(p *page) error {
	p.gone, p.buried, p.known, p.held, p.blinded = nil, 0, nil, nil, ""
	if s == nil || s.keys == nil || !s.everything(p) || p.answer.Nothing == http.StatusNotModified {
		return nil
	}
	if p.at.Index == s.pager.First().Index {
		s.keys.Begin(p.after.Pass)
		s.order = inOrder{}
	} else if s.order.last == nil { // of a child, another slice had the first pages
		s.order.broken = true
	}
	if !s.keys.Reads(p.after.Pass) {
		s.tear(p)
		return nil
	}
	err := s.reader.each(p, 0, func(_ int, rec *record, _ bool) error {
		s.reader.judge(rec, p)
		if rec.key == nil {
			s.keys.Blind("a record of it was refused whose key cannot be read")
			return nil
		}
		s.order.see(rec.key)
		if rec.deleted && rec.reason == "" {
			s.keys.Delete(rec.id)
			return nil
		}
		s.keys.See(rec.id, rec.reason == "")
		return nil
	})
	if err != nil {
		return fmt.Errorf("read page %s of %s again: %w", p.id, s.key, err)
	}
	s.blind(p)
	if p.after.Done {
		s.decide(p)
	}
	return nil
}

// blind notes what a page says against its read being complete.
func (s *slice) blind(p *page) {
	switch {
	case p.ended == paginate.Known, p.ended == paginate.Capped:
		s.keys.Blind("it did not go to the end: " + string(p.ended))
	case p.summary.Skipped:
		s.keys.Blind("a page of it was passed over")
	case s.nothing && s.stream.Ingest.Deletes.Missing && s.child != nil:
		if s.keys.Len() == 0 || s.child.feed.kids.gone() {
			return
		}
		s.keys.Blind(fmt.Sprintf("the API has nothing for %d records of %s in a row: that is more likely its fault than theirs", inARow, s.stream.Ingest.ForEach.Parent))
	case s.nothing:
		s.keys.Blind(fmt.Sprintf("the API has nothing at its first page: HTTP %d", p.answer.Status))
	case p.answer.Ruled:
		s.keys.Blind("a rule of ingest.errors has ended it; where that is how the API answers past the last page, say so with past_end")
	case p.after.Done && p.summary.Doubt != "":
		s.keys.Blind("it is not known to be complete: " + p.summary.Doubt)
	}
}

// everything reports whether the pass of a page asks for all that the API shows.
func (s *slice) everything(p *page) bool {
	return p.at.From == "" && (p.before.Whole || p.before.Since == nil)
}

// decide decides what is gone, after the last page of a complete read.
func (s *slice) decide(p *page) {
	d := s.stream.Ingest.Deletes
	before := *newKnown(&s.stream.Ingest, p.before)
	most := d.AtMost
	if s.nothing { // the API has said so, and not left it out
		most = 100
	}
	v, why := s.keys.Judge(before, known.Rule{
		AtMost: most, Steady: d.Steady || p.at.Index == s.pager.First().Index || s.byKey(), InTurn: s.inTurn(), Allowed: s.allowed,
	})
	v.Known.Whole = p.after.Started
	p.known, p.blinded = &v.Known, why
	for _, id := range v.Gone {
		p.gone = append(p.gone, gone{id: id, revision: s.keys.Revision(id)})
	}
	p.held = v.Held
}

// byKey reports whether pages follow one another by the key, and records came in its order: none can slip between two
// of them.
func (s *slice) byKey() bool {
	k := s.stream.Ingest.Paginate.Keyset
	if k == nil || s.order.broken {
		return false
	}
	key := slices.DeleteFunc(slices.Clone(s.stream.Ingest.Key), func(f string) bool { return f == pipeline.SliceField })
	return len(key) == 1 && slices.Equal(pipeline.PathNames(key[0]), k.Field)
}

// inTurn reports whether a page is asked for when the one before has come.
func (s *slice) inTurn() bool {
	_, ok := s.pager.(paginate.Addressable)
	return !ok || s.stream.Ingest.Concurrency <= 1
}

// allowed is how many of the keys that were held since a pass a person has allowed to delete.
func (s *slice) allowed(since, held int64) int64 {
	a, ok := s.in.decisions.view.Stream(s.stream.Name).Deletes[s.key]
	if !ok || a.Since != since {
		return 0
	}
	return min(a.Keys, held)
}

// wholeIsDue reports whether the pass after c, which begins at a time, is to be a complete read where passes ask for
// what has changed.
func (s *slice) wholeIsDue(c cursor.Cursor, at time.Time) bool {
	d := s.stream.Ingest.Deletes
	if d == nil || d.Every == 0 || c.Known == nil || c.Since == nil && c.Kept == "" {
		return false
	}
	if s.child != nil && c.Left() {
		return true
	}
	return at.UTC().Truncate(time.Millisecond).Sub(c.Known.Whole) >= d.Every
}

// learn takes over what the commit loop has found out at the end of a pass.
func (s *slice) learn(p *page) {
	if p.known != nil {
		s.plan.Known = p.known
	}
}

func closeSlices(all []*slice) {
	for _, s := range all {
		s.close()
	}
}

// close gives back what the slice holds for its process.
func (s *slice) close() {
	if s.keys != nil {
		s.keys.Close()
	}
}

// unchanged reports whether a record is what was written last for its key.
func (s *slice) unchanged(rec *record, p *page) bool {
	return s.written.Unchanged(rec.id, rec.content, p.after.Pass) || s.keys != nil && rec.reason == "" && s.keys.Unchanged(rec.id, rec.content)
}

// readBack finds the text of the keys that are to be deleted, and of those that are told of, in the state topic. No
// transaction is open.
func (c *committer) readBack(ctx context.Context, p *page) error {
	if len(p.gone) == 0 && len(p.held) == 0 {
		return nil
	}
	s := p.slice
	found := make(map[uint64][]byte, len(p.gone)+len(p.held))
	for _, g := range p.gone {
		found[g.id] = nil
	}
	for _, id := range p.held {
		found[id] = nil
	}
	if err := c.findKeys(ctx, s, found); err != nil {
		return err
	}
	for i := range p.gone {
		p.gone[i].key = found[p.gone[i].id]
	}
	p.gone = slices.DeleteFunc(p.gone, func(g gone) bool { return g.key == nil })
	slices.SortFunc(p.gone, func(a, b gone) int { return bytes.Compare(a.key, b.key) })
	if len(p.held) > 0 {
		for _, id := range p.held {
			p.known.Held.As = append(p.known.Held.As, string(found[id]))
		}
		slices.Sort(p.known.Held.As)
	}
	return nil
}

// findKeys reads the partition of the state topic for the texts of keys, of which found has the ids.
func (c *committer) findKeys(ctx context.Context, s *slice, found map[uint64][]byte) error {
	topic := topics.IngestState(s.in.p.Name)
	ends, err := admin.Ends(ctx, s.in.adm, topic)
	if err != nil {
		return err
	}
	all := map[int32]admin.Range{c.partition: {To: ends[c.partition]}}
	return admin.ReadRanges(ctx, s.in.env.Kafka, topic, all, func(r *kgo.Record) {
		slice, raw, ok := known.ParseStateKey(string(r.Key))
		if !ok || slice != s.key {
			return
		}
		if id := known.ID([]byte(raw)); r.Value == nil {
			return
		} else if _, wanted := found[id]; wanted {
			found[id] = []byte(raw)
		}
	})
}

// know writes to the state topic that a key is there, if that is new.
func (t *transaction) know(p *page, rec *record) {
	s := p.slice
	r := known.Revision{Source: rec.source, HasSource: rec.hasSource}
	if !s.full {
		r.Content, r.HasContent = rec.content, true
	}
	if value := s.keys.Write(rec.id, max(p.after.Pass, p.after.Known.Era), r); value != nil {
		t.tx.Append(t.ctx, known.StateKey(s.key, rec.key), value)
		t.bytes += int64(len(rec.key) + len(value))
	}
}

// bury writes tombstones of the keys that are gone while there is room in the transaction, and reports whether all are
// written.
func (t *transaction) bury(p *page) (all bool) {
	s := p.slice
	headers := topics.RawHeaders{PageID: p.id, Slice: s.name, Time: p.answer.Time, URL: p.url}
	for len(p.gone) > 0 {
		if !t.whole && t.bytes >= t.room && t.bytes > 0 {
			return false
		}
		g := p.gone[0]
		p.gone = p.gone[1:]
		headers.Ordinal, headers.Source, headers.HasSource = p.summary.Records+p.buried, g.revision.Source, g.revision.HasSource
		t.tx.Produce(t.ctx, &kgo.Record{Topic: topics.Raw(s.in.p.Name, s.stream.Name), Key: g.key, Headers: headers.Append(nil)})
		t.unknow(s, g.id, g.key)
		s.written.Deleted(g.id)
		p.buried++
		t.bytes += int64(len(g.key)) + headerBytes
		t.counts[s].deleted++
	}
	return true
}

// unknow takes a key out of those that are there.
func (t *transaction) unknow(s *slice, id uint64, key []byte) {
	if s.keys != nil {
		s.keys.Delete(id)
		t.tx.Append(t.ctx, known.StateKey(s.key, key), nil)
	}
}

// noticeDeletes is the kind of the notice that keys are gone, or may be, and are not deleted.
const noticeDeletes = "deletes"

// tellDeletes tells what a complete read that has ended with a page, which is committed, leaves for a person to decide.
func (s *slice) tellDeletes(p *page) {
	if p.known == nil || p.torn() {
		return
	}
	d, text := s.stream.Ingest.Deletes, ""
	switch k := p.known; {
	case p.blinded != "":
		text = "ingest.deletes: the last complete read deletes nothing: " + p.blinded
	case k.Left > 0 && k.Held != nil:
		text = fmt.Sprintf("ingest.deletes: %d of %d keys are not shown any more, as %s, which is more than at_most: %v%%: nothing is deleted. "+
			"If they are gone, `%s` has the next complete read delete them", k.Held.Keys, k.Held.Of, strings.Join(k.Held.As, ", "), d.AtMost,
			s.in.env.Command("deletes", s.stream.Name, "--allow"))
	case known.Slips(*k):
		text = fmt.Sprintf("ingest.deletes: %d keys are not shown any more, and are not deleted, because in each of the last %d complete reads other keys came or went, "+
			"so that these may have slipped between two pages. With paginate.keyset by the key, or deletes.steady: true where "+
			"pages are in an order in which nothing moves, one read is enough; ingest.concurrency: 1 makes it likelier", k.Left, k.Slipping)
	}
	s.notice(noticeDeletes, &s.toldDeletes, text)
}
