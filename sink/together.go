package sink

import (
	"context"
	"time"
)

// together says whether the first writer gets all of a poll: few records are one transaction, not one of each writer. Two that
// commit at the same moment take longer than one after the other, and cost twice the syncs. A partition changes its writer only
// while none has anything in hand, so that its batches stay in order: few records are not put together before, and many wait for
// that (awaitWriters).
func (s *Sink) together(all [][]polled) bool {
	switch now := time.Now(); {
	case !few(all):
		s.parting = !s.apart
		s.apart, s.manyAt = true, now
	case s.inHand.Load() == 0 && now.Sub(s.manyAt) > calm:
		s.apart = false
	}
	return !s.apart
}

// calm is how long few records come until they are put together: that publishes the connection of each partition anew.
const calm = time.Second

// few says whether records may be one job.
func few(all [][]polled) bool {
	records, bytes := 0, 0
	for _, list := range all {
		for _, p := range list {
			if records += len(p.records); records > fewRecords {
				return false
			}
			for _, r := range p.records {
				bytes += len(r.Key) + len(r.Value)
			}
		}
	}
	return bytes <= fewBytes
}

// awaitWriters waits until no writer has anything in hand, if partitions are about to change their writers.
func (s *Sink) awaitWriters(ctx context.Context) error {
	if !s.parting {
		return nil
	}
	s.parting = false
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for s.inHand.Load() > 0 {
		select {
		case <-s.allWritten:
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := s.look(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}
