package sink

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/twmb/franz-go/pkg/kgo"
)

// endFill has the partitions of a fill that has ended go on in the order of the topic, from where their positions are:
// behind what it wrote, or at the start, if it could not.
func (s *Sink) endFill(f *fill) {
	f.stop()
	err := cmp.Or(f.err, f.failed)
	at := map[string]map[int32]kgo.EpochOffset{f.topic: {}}
	var all []int32
	s.mu.Lock()
	s.fills = slices.DeleteFunc(s.fills, func(x *fill) bool { return x == f })
	s.sorts.never = s.sorts.never || err != nil
	for partition, c := range f.claims {
		all = append(all, partition)
		if c.fill = nil; !c.revoked.Load() {
			c.polled = c.next
			at[f.topic][partition] = kgo.EpochOffset{Epoch: -1, Offset: c.next}
		}
	}
	s.mu.Unlock()
	s.client.SetOffsets(at) // a revocation since then does no harm, see reclaim
	s.client.ResumeFetchPartitions(map[string][]int32{f.topic: all})
	s.forgetFill(f)
	switch {
	case err != nil:
		s.env.Log.Warn("the table is not filled in the order of its keys: its rows are written in that of the topic, which is slower. "+
			"The temporary directory (TMPDIR) must have room for the processed records", "table", f.table.Name, "err", err)
	case f.filled:
		s.env.Log.Info("filled in key order", "table", f.table.Name, "records", f.written.Load(), "took",
			time.Since(time.UnixMilli(f.began.Load())).Round(time.Millisecond).String())
	default:
		s.env.Log.Info("a fill in key order was given up: its partitions are another sink's, or are claimed again", "table", f.table.Name)
	}
}

// forgetFills ends those that the loop has left: their positions did not move. Their goroutines have ended.
func (s *Sink) forgetFills() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeFills()
}

// closeFills is forgetFills while s.mu is held.
func (s *Sink) closeFills() {
	for _, f := range s.fills {
		if f.stop != nil {
			f.stop()
		}
		s.forgetFill(f)
	}
	s.fills = nil
}

func (s *Sink) forgetFill(f *fill) {
	if err := f.sorter.Close(); err != nil {
		s.env.Log.Debug("temporary file of a fill", "err", err)
	}
	s.env.Health.Restore(fillName(f))
	for _, state := range []string{"read", "written"} {
		s.metrics.fill.DeleteLabelValues(f.table.Stream, state)
	}
}

func fillName(f *fill) string { return stageName + " " + f.table.Stream + ", fill" }

// tellFillEvery is the time between two lines of the log about one.
const tellFillEvery = 10 * time.Second

// tellFill tells how far a fill is: in health and metrics, and now and then in the log.
func (s *Sink) tellFill(f *fill) {
	added, written := f.added.Load(), f.written.Load()
	s.metrics.fill.WithLabelValues(f.table.Stream, "read").Set(float64(added))
	s.metrics.fill.WithLabelValues(f.table.Stream, "written").Set(float64(written))
	text := fmt.Sprintf("filling in key order: %s records are read and sorted; rows are written once the processors have reached the end of the raw topic",
		humanize.Comma(added))
	if began := f.began.Load(); began > 0 {
		text = fmt.Sprintf("filling in key order: %s of %s records are written", humanize.Comma(written), humanize.Comma(added))
		if took := time.Since(time.UnixMilli(began)); written > 0 && took > time.Second {
			perSecond := float64(written) / took.Seconds()
			left := time.Duration(float64(added-written) / perSecond * float64(time.Second)).Round(time.Second)
			text += fmt.Sprintf(", %s a second, %s left", humanize.Comma(int64(perSecond)), left)
		}
	}
	s.env.Health.Degrade(fillName(f), text)
	if time.Since(f.told) >= tellFillEvery {
		f.told = time.Now()
		s.env.Log.Info(text, "stream", f.table.Stream, "table", f.table.Name)
	}
}
