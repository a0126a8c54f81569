package replay

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/drive"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// A record that the steps accept may be refused by the table. Then it is not the newest good record of its key, and
// only the sinks know. So once they have written what the redo has made, their letters are looked at; for the keys that
// have one the redo goes on in another round, which passes over the refused records, until there is no letter.

// clocks is how far the clocks of processes may be apart: letters are looked for from so long before the redo began.
const clocks = time.Hour

// mostKeys is how many bytes the keys of a round have at most: they are in a record of the control topic.
const mostKeys = 256 << 10

// again decides that another round follows, if the table has refused records of this one. It reports whether somebody
// did.
func (r *Replay) again(ctx context.Context, redo control.Redo) (again bool, err error) {
	if redo.Aborted {
		return false, nil
	}
	var refused map[int32][]int64
	var keys []string
	if err := r.Persist(ctx, drive.Kafka, "letters", func(ctx context.Context) (err error) {
		refused, keys, err = r.refused(ctx, redo)
		return err
	}); err != nil || len(keys) == 0 {
		return false, err
	}
	bytes := 0
	for _, key := range keys {
		bytes += len(key)
	}
	if bytes > mostKeys {
		r.Env.Log.Warn("the table refuses the newest records of so many keys that they keep the rows they have, of whatever logic; "+
			"correct the steps or the columns, and replay once more", "stream", r.Stream.Name, "keys", len(keys), "next", r.Env.Command("dlq list", r.Stream.Name))
		return false, nil
	}
	err = r.Persist(ctx, drive.Kafka, "control", func(ctx context.Context) error {
		_, err := r.change(ctx, redo.Generation, control.Ending, func(s *control.Stream) {
			made := *s.Generation(redo.Generation)
			made.Number, made.At, made.By = s.Next(), time.Now().UTC().Truncate(time.Second), r.Env.Instance
			s.Generations = append(s.Generations, made)
			s.Redo.Generation, s.Redo.State, s.Redo.Keys, s.Redo.Refused = made.Number, control.Running, keys, refused
		})
		return err
	})
	if err == nil {
		r.Env.Log.Info("the table refuses some of the records; the newest that it takes are looked for", "stream", r.Stream.Name, "keys", len(keys))
	}
	return true, err
}

// refused are the records that the table has refused, of this round and those before, and the keys of those of this
// round.
func (r *Replay) refused(ctx context.Context, redo control.Redo) (map[int32][]int64, []string, error) {
	topic := topics.DeadLetters(r.Pipeline.Name, r.Stream.Name)
	listed, err := kadm.NewClient(r.Client).ListOffsetsAfterMilli(ctx, redo.At.Add(-clocks).UnixMilli(), topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, nil, err
	}
	from := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { from[o.Partition] = o.Offset })
	offsets, keys := map[int32]map[int64]bool{}, map[string]bool{}
	add := func(partition int32, offset int64) {
		if offsets[partition] == nil {
			offsets[partition] = map[int64]bool{}
		}
		offsets[partition][offset] = true
	}
	for partition, all := range redo.Refused {
		for _, offset := range all {
			add(partition, offset)
		}
	}
	err = admin.ReadFrom(ctx, r.Env.Kafka, topic, from, func(rec *kgo.Record) {
		l, origin, err := topics.ParseLetter(rec)
		if _, closes := topics.ParseClosing(rec); closes || err != nil || l.Stage != "sink" || l.Generation != redo.Generation {
			return
		}
		header, _ := topics.Header(rec, topics.HeaderVersion)
		version, err := topics.ParseVersion(header)
		if err != nil || version.Epoch() != redo.Epoch || version.Offset() >= redo.Cut[origin.Partition] {
			return
		}
		add(origin.Partition, version.Offset())
		keys[string(rec.Key)] = true
	})
	if err != nil {
		return nil, nil, err
	}
	out := map[int32][]int64{}
	for partition, all := range offsets {
		out[partition] = slices.Sorted(maps.Keys(all))
	}
	return out, slices.Sorted(maps.Keys(keys)), nil
}
