package processor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// PositionError is positions of a stream that its raw topic does not have: what lay between was deleted before it was
// processed, or the brokers have lost records. Going on from anywhere else would drop records in silence, so these
// partitions are not processed.
type PositionError struct {
	Group string
	Gaps  []Gap  // at least one, of one topic, by partition
	Next  string // the command that accepts the gap
	Err   error  // what the broker answered
}

// Gap is a partition whose position is not in its log.
type Gap struct {
	Topic      string
	Partition  int32
	Next       int64 // -1: not known
	Start, End int64 // of the log; -1: not known
}

func (g Gap) String() string {
	if g.Next < 0 {
		return fmt.Sprintf("%s[%d]", g.Topic, g.Partition)
	}
	return fmt.Sprintf("%s[%d] continues at %d, and the log holds %d to %d", g.Topic, g.Partition, g.Next, g.Start, g.End)
}

// Error names every partition, and the command.
func (e *PositionError) Error() string {
	var gaps []string
	for _, g := range e.Gaps {
		gaps = append(gaps, g.String())
	}
	return fmt.Sprintf("group %s: positions are not in their topic: %s: %v; raw records were deleted before they were processed "+
		"(kafka.raw_retention), or the brokers have lost some. ingest does not fetch these records again on its own: its cursors are behind them. These "+
		"partitions are not processed. To continue without what is missing: %s", e.Group, strings.Join(gaps, "; "), e.Err, e.Next)
}

// Unwrap returns what the broker answered.
func (e *PositionError) Unwrap() error { return e.Err }

// gap takes in the error of a poll: partitions whose position is not in the log stand from the next session on, until
// another run of positions is declared.
func (s *session) gap(ctx context.Context, adm *kadm.Client, err error) error {
	e, ok := errors.AsType[*PositionError](err)
	if !ok || s.p.cl == nil {
		return err
	}
	topic := e.Gaps[0].Topic
	run := s.streams[topic]
	e = s.complete(ctx, adm, e)
	e.Next = s.p.env.Command("recover", run.name)
	d := s.p.decided
	d.mu.Lock()
	for _, g := range e.Gaps {
		d.gaps[touched{topic, g.Partition}] = run.decided.Run.Number
	}
	d.gapTexts[topic] = gapText{run.decided.Run.Number, e}
	d.mu.Unlock()
	s.p.notices.Raise(run.name, noticeGap, e.Error())
	return e
}

// gapText is what is told of a stream's positions that are not in the log.
type gapText struct {
	run uint32
	err error
}

// gapOf is what is told of the positions of a run; nil: all are in the log, as far as is known.
func (d *decisions) gapOf(topic string, run uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g := d.gapTexts[topic]; g.run == run {
		return g.err
	}
	return nil
}

// isGap reports whether the position of a partition is known not to be in the log.
func (d *decisions) isGap(topic string, partition int32, run uint32) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	of, ok := d.gaps[touched{topic, partition}]
	return ok && of == run
}

// complete names all partitions of the topic that have a gap, where the poll met one of them. Without an answer e stays
// as it is.
func (s *session) complete(ctx context.Context, adm *kadm.Client, e *PositionError) *PositionError {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	topic := e.Gaps[0].Topic
	committed, err1 := adm.FetchOffsets(ctx, s.p.group)
	starts, err2 := adm.ListStartOffsets(ctx, topic)
	ends, err3 := adm.ListEndOffsets(ctx, topic)
	if cmp.Or(err1, err2, err3) != nil {
		return e
	}
	gaps := map[int32]Gap{}
	for _, g := range e.Gaps {
		gaps[g.Partition] = g
	}
	for partition := range s.p.pipeline.Kafka.Partitions {
		at, ok := committed.Lookup(topic, partition)
		start, ok1 := starts.Lookup(topic, partition)
		end, ok2 := ends.Lookup(topic, partition)
		next, err := s.counted(topic, partition, at, ok)
		if !ok1 || !ok2 || cmp.Or(err, start.Err, end.Err) != nil || next < 0 || next >= start.Offset && next <= end.Offset {
			continue
		}
		gaps[partition] = Gap{topic, partition, next, start.Offset, end.Offset}
	}
	out := *e
	out.Gaps = nil
	for _, partition := range slices.Sorted(maps.Keys(gaps)) {
		out.Gaps = append(out.Gaps, gaps[partition])
	}
	return &out
}
