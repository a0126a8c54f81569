package processor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// PositionError is committed offsets that raw topics do not have: what lay between was deleted before it was processed,
// or a topic was made anew. Going on from anywhere else would drop records in silence, so the processor stops.
type PositionError struct {
	Group string
	Gaps  []Gap // at least one, by topic and partition
	Err   error // what the broker answered
}

// Gap is a partition whose committed offset is not in its log.
type Gap struct {
	Topic      string
	Partition  int32
	Next       int64 // committed; -1: not known
	Start, End int64 // of the log; -1: not known
}

func (g Gap) String() string {
	if g.Next < 0 {
		return fmt.Sprintf("%s[%d]", g.Topic, g.Partition)
	}
	return fmt.Sprintf("%s[%d] goes on at %d, and the log holds %d to %d", g.Topic, g.Partition, g.Next, g.Start, g.End)
}

// Error names every partition, and one command for each topic.
func (e *PositionError) Error() string {
	var gaps, commands []string
	partitions := map[string][]string{}
	for _, g := range e.Gaps {
		gaps = append(gaps, g.String())
		partitions[g.Topic] = append(partitions[g.Topic], fmt.Sprint(g.Partition))
	}
	for _, topic := range slices.Sorted(maps.Keys(partitions)) {
		commands = append(commands, fmt.Sprintf("kafka-consumer-groups.sh --group %s --topic %s:%s --reset-offsets --to-earliest --execute",
			e.Group, topic, strings.Join(partitions[topic], ",")))
	}
	return fmt.Sprintf("processor: group %s: committed offsets are not in their topics: %s: %v; raw records were deleted before they were processed "+
		"(kafka.raw_retention), or the topic was made anew. ingest does not fetch these records again by itself: its cursors are behind them. To accept "+
		"the gap, stop all processors and set the group to offsets that exist: %s",
		e.Group, strings.Join(gaps, "; "), e.Err, strings.Join(commands, "; "))
}

// Unwrap returns what the broker answered.
func (e *PositionError) Unwrap() error { return e.Err }

// complete names all partitions that have a gap, where the poll met one of them. Without an answer e stays as it is.
func (p *Processor) complete(ctx context.Context, adm *kadm.Client, e *PositionError) *PositionError {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	names := slices.Sorted(maps.Keys(p.streams))
	committed, err1 := adm.FetchOffsets(ctx, p.group)
	starts, err2 := adm.ListStartOffsets(ctx, names...)
	ends, err3 := adm.ListEndOffsets(ctx, names...)
	if cmp.Or(err1, err2, err3) != nil {
		return e
	}
	var gaps []Gap
	for _, topic := range names {
		for partition := range p.pipeline.Kafka.Partitions {
			at, ok1 := committed.Lookup(topic, partition)
			start, ok2 := starts.Lookup(topic, partition)
			end, ok3 := ends.Lookup(topic, partition)
			if !ok1 || !ok2 || !ok3 || at.At < 0 || cmp.Or(at.Err, start.Err, end.Err) != nil {
				continue
			}
			if at.At < start.Offset || at.At > end.Offset {
				gaps = append(gaps, Gap{topic, partition, at.At, start.Offset, end.Offset})
			}
		}
	}
	if len(gaps) == 0 {
		return e
	}
	return &PositionError{e.Group, gaps, e.Err}
}
