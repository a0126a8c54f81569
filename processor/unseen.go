package processor

import (
	"context"
	"strings"
	"time"
)

// A field that records are expected to have is missed after so many records, or so long after the first.
const (
	enoughRecords = 100
	enoughTime    = time.Minute
)

// tellUnseen tells, until ctx ends, of fields that the steps name and that no record has had.
func (p *Processor) tellUnseen(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	since := map[*stream]time.Time{} // of the first record that was looked at
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			for _, s := range p.streams {
				if _, records := s.chain.Unseen(); records > 0 && since[s].IsZero() {
					since[s] = now
				}
				p.unseen(s, !since[s].IsZero() && now.Sub(since[s]) >= enoughTime)
			}
		}
	}
}

// unseen raises or clears the notice of a stream.
func (p *Processor) unseen(s *stream, late bool) {
	const kind = "field_never_seen"
	told, records := s.chain.Unseen()
	switch {
	case len(told) == 0:
		p.notices.Clear(s.name, kind)
	case records >= enoughRecords || late:
		p.notices.Raise(s.name, kind, strings.Join(told, "; "))
	}
}
