package ingest

import (
	"sync"
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/pipeline"
)

// passes tells of the passes of a stream that have ended: at once of the first, then at most once a quietPasses of all
// that have ended since. It may be used concurrently.
type passes struct {
	mu     sync.Mutex
	told   time.Time // when the last line was logged
	ended  tally     // since then
	passes int       // since then
}

// tally is what was committed of passes.
type tally struct{ pages, records, changed, letters, deleted int }

func (t *tally) add(o tally) {
	t.pages += o.pages
	t.records += o.records
	t.changed += o.changed
	t.letters += o.letters
	t.deleted += o.deleted
}

// quietPasses is the least time between two lines of a stream.
const quietPasses = time.Minute

// end notes a pass of s that ended with the page by and brought t, and tells of it. The last pass that there will be is
// always told of.
func (p *passes) end(s *slice, t tally, by *page, last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passes++
	p.ended.add(t)
	if time.Since(p.told) < quietPasses && !last {
		return
	}
	attrs := []any{
		"pages", p.ended.pages, "records", p.ended.records, "changed", p.ended.changed,
		"unchanged", p.ended.records - p.ended.changed - p.ended.letters - p.ended.deleted,
	}
	if p.ended.letters > 0 {
		attrs = append(attrs, "dead_letters", p.ended.letters)
	}
	if p.ended.deleted > 0 {
		attrs = append(attrs, "deleted", p.ended.deleted)
	}
	attrs = append(attrs, "took", time.Since(by.after.Started).Round(time.Millisecond).String())
	attrs = append(attrs, "because", string(by.ended))
	if p.passes > 1 {
		attrs = append(attrs, "passes", p.passes)
	}
	if s.child != nil {
		attrs = append(attrs, "due", s.child.feed.kids.left())
	}
	if s.schedule.Repeats() {
		attrs = append(attrs, "next", "in "+max(time.Until(s.schedule.Next(by.after.Started)), 0).Round(time.Second).String())
	} else if of := s.stream.Ingest.ForEach; of != nil {
		attrs = append(attrs, "next", "when a record of "+of.Parent+" changes")
	} else {
		attrs = append(attrs, "next", "at the next start")
	}
	s.log.Info("pass ended", attrs...)
	if last {
		s.log.Info("finished: without ingest.every, nothing more is fetched until the next start; `millrace run --once` ends then")
	}
	p.told, p.ended, p.passes = time.Now(), tally{}, 0
}

// guess tells, once for a stream, what its records are taken for.
func (s *slice) guess(shape string) {
	if shape == "" {
		return
	}
	s.in.seen[s.stream].guessed.Do(func() {
		path := pipeline.FormatPath(s.stream.Ingest.Records)
		if path == "" {
			path = "$"
		}
		what := map[string]string{
			pipeline.ShapeObject: "an object that has the key is taken for the only record",
			pipeline.ShapeMap:    "an object whose members all have the key is taken for a map of records",
			pipeline.ShapeValues: "an array of single values is taken for records of one field, " + s.stream.Ingest.Shape.As,
		}[shape]
		s.log.Info(what+"; declare it in ingest.records", "records", "{"+shape+": "+path+"}")
	})
}

// lastPass reports whether the pass of a stream that has just ended is its last one in this process: there is no
// ingest.every, and every slice has ended one.
func (in *Ingest) lastPass(stream *pipeline.Stream) bool {
	if stream.Ingest.Every > 0 || stream.Ingest.Cron != nil {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, ref := range in.owned {
		if ref.stream == stream && !in.ended[cursor.Key(stream.Name, ref.name)] {
			return false
		}
	}
	return true
}
