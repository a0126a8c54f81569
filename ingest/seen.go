package ingest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/known"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
)

// seen notes which of a stream's settings have shown up in its records since the process began, and tells of those that
// have not. Its slices share it.
type seen struct {
	stream  *pipeline.Stream
	scale   cursor.Scale
	notices *stage.Notices

	records        atomic.Int64
	version, field atomic.Bool // a record had it
	leads          atomic.Bool // an answer had what leads to the next page
	passes         passes      // that have ended
	detected       sync.Once   // how pages follow one another
	guessed        sync.Once   // what the records are taken for
	arrays         atomic.Bool // an answer was an array of objects
	room           *known.Room // for the keys that complete reads compare; nil: none do
}

// enough is how many records are looked at before a field is missed in the middle of a pass.
const enough = 1000

// restored notes what a cursor says of earlier times.
func (s *seen) restored(c cursor.Cursor) {
	s.version.Store(s.version.Load() || c.Top != nil)
	s.field.Store(s.field.Load() || c.Form != "" || c.High != nil || c.HighOf != "")
}

// page notes what a page has shown; ended says that it was the last one of a pass.
func (s *seen) page(p *page, ended bool) {
	n := s.records.Add(int64(p.summary.Records))
	if p.summary.Records == 0 {
		return
	}
	in := &s.stream.Ingest
	tell := (ended || n >= enough) && !p.flawed // which is told of as refused records are
	if in.Version != "" && (in.Incremental == nil || in.Version != in.Incremental.Field) {
		s.missed(&s.version, p.seen.Top != nil, tell, "version_never_seen", fmt.Sprintf("ingest.version: no record so far has a version "+
			"in the field %q: a revision that comes late takes the place of a newer one", in.Version))
	}
	if in.Incremental == nil {
		return
	}
	s.missed(&s.field, p.seen.High != nil, tell, "incremental_never_seen", fmt.Sprintf("ingest.incremental.field: no record so far has "+
		"a value in the field %q: each pass asks for everything again", in.Incremental.Field))
	if p.seen.High != nil {
		s.zone(p.seen.Form)
	}
	if in.Incremental.Format != "integer" {
		s.clock(p)
	}
}

// missed tells of a field that no record has had.
func (s *seen) missed(had *atomic.Bool, has, tell bool, kind, text string) {
	switch {
	case has && !had.Swap(true):
		s.notices.Clear(s.stream.Name, kind)
	case tell && !had.Load():
		s.notices.Raise(s.stream.Name, kind, text)
	}
}

// clock tells of an API that does not tell its time.
func (s *seen) clock(p *page) {
	if p.seen.Clock.IsZero() {
		s.notices.Raise(s.stream.Name, "no_date", "the answers have no Date header, so the clock of the API is not known: "+
			"since stays an hour behind ours")
		return
	}
	s.notices.Clear(s.stream.Name, "no_date")
}

// zone tells of times without a zone.
func (s *seen) zone(form cursor.Form) {
	if s.scale.Doubtful(form) {
		s.notices.Raise(s.stream.Name, "no_time_zone", fmt.Sprintf("the times in the field %q name no zone: they are read as UTC, "+
			"and each pass looks back a day, until ingest.time_zone says where they are from", s.stream.Ingest.Incremental.Field))
	}
}
