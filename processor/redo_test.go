package processor_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// again is a redo of all that is in the raw topic.
func again(t testing.TB, cl *kgo.Client, p *pipeline.Pipeline, generation uint16) processor.RedoConfig {
	t.Helper()
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), raw(p))
	if err != nil {
		t.Fatal(err)
	}
	cfg := processor.RedoConfig{
		Stream: "s", Generation: generation, RawTopicID: "x", Cut: map[int32]int64{}, Letters: -1, Memory: processor.DefaultRedoMemory,
	}
	ends.Each(func(o kadm.ListedOffset) { cfg.Cut[o.Partition] = o.Offset })
	return cfg
}

// startRedo runs a redo until stop is called.
func startRedo(t testing.TB, c servers, p *pipeline.Pipeline, cfg processor.RedoConfig, name string) (r *processor.Redo, stop func()) {
	t.Helper()
	r, err := processor.NewRedo(p, quick(), env(t, c, name), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r, testkit.Run(t, r.Run)
}

// awaitRedo waits until all partitions were processed again.
func awaitRedo(t testing.TB, cl *kgo.Client, p *pipeline.Pipeline, cfg processor.RedoConfig) {
	t.Helper()
	testkit.Eventually(t, 2*time.Minute, func() error {
		at, err := processor.RedoCommitted(t.Context(), cl, p, "s", cfg.RawTopicID, cfg.Generation)
		for partition, cut := range cfg.Cut {
			if err == nil && at[partition] < cut {
				err = fmt.Errorf("partition %d is at %d of %d", partition, at[partition], cut)
			}
		}
		return err
	})
}

// outcomes are the processed records as text, by key: values in the order of their partition, with the raw offset.
func outcomes(t testing.TB, c servers, p *pipeline.Pipeline, generation uint16) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, r := range testkit.Records(t, c.ListenAddrs(), processed(p)) {
		header, _ := topics.Header(r, topics.HeaderVersion)
		v, err := topics.ParseVersion(header)
		if err != nil {
			t.Fatal(err)
		}
		if v.Generation() == generation {
			out[string(r.Key)] = append(out[string(r.Key)], fmt.Sprintf("%d:%s", v.Offset(), r.Value))
		}
	}
	return out
}

// TestRedoEmitsTheNewest: of each key its newest record, and where that is refused also its newest good one.
func TestRedoEmitsTheNewest(t *testing.T) {
	p := shop(1)
	p.Streams[0].Process[0].Filter.Once = true
	c, cl := cluster(t, p)
	produce(t, cl, p,
		&kgo.Record{Key: []byte("1"), Value: []byte(`{"id":1,"n":1,"status":"ok"}`)},
		&kgo.Record{Key: []byte("1"), Value: []byte(`{"id":1,"n":2,"status":"ok"}`)},
		&kgo.Record{Key: []byte("2"), Value: []byte(`{"id":2,"n":1,"status":"ok"}`)},
		&kgo.Record{Key: []byte("2"), Value: []byte(`{"id":2,"n":"x","status":"ok"}`)}, // a letter
		&kgo.Record{Key: []byte("3"), Value: []byte(`{"id":3,"n":1,"status":"ok"}`)},
		&kgo.Record{Key: []byte("3"), Value: nil},
		&kgo.Record{Key: []byte("4"), Value: []byte(`{"id":4,"n":1,"status":"ok"}`)},
		&kgo.Record{Key: []byte("4"), Value: []byte(`{"id":4,"n":1,"status":"draft"}`)}, // once
	)
	cfg := again(t, cl, p, 7)
	r, stop := startRedo(t, c, p, cfg, "a")
	awaitRedo(t, cl, p, cfg)
	stop()
	want := map[string][]string{"1": {`1:{"id":1,"n":4}`}, "2": {`2:{"id":2,"n":2}`}, "3": {"5:"}, "4": {"7:"}}
	if got := outcomes(t, c, p, 7); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%v, want %v", got, want)
	}
	if n := len(testkit.Records(t, c.ListenAddrs(), letters(p))); n != 1 {
		t.Errorf("%d letters, want 1", n)
	}
	if got := r.Progress(); got.Keys != 4 || got.Refused != 1 || got.Records != 5 || got.Processed != 5 || got.Looking != 0 {
		t.Errorf("progress %+v", got)
	}
}

// TestRedoOfARange: keys whose newest record is outside stay as they are.
func TestRedoOfARange(t *testing.T) {
	p := shop(1)
	c, cl := cluster(t, p)
	for i := range 10 {
		key := strconv.Itoa(i % 5)
		produce(t, cl, p, &kgo.Record{Key: []byte(key), Value: fmt.Appendf(nil, `{"id":%s,"n":%d,"status":"ok"}`, key, i)})
	}
	cfg := again(t, cl, p, 2)
	cfg.From, cfg.To = map[int32]int64{0: 3}, map[int32]int64{0: 8}
	cfg.Keys = []string{"0", "1", "2", "4"}
	_, stop := startRedo(t, c, p, cfg, "a")
	awaitRedo(t, cl, p, cfg)
	stop()
	want := map[string][]string{"0": {`5:{"id":0,"n":10}`}, "1": {`6:{"id":1,"n":12}`}, "2": {`7:{"id":2,"n":14}`}}
	if got := outcomes(t, c, p, 2); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestRedoOfManyByTwo: processes share a redo, one ends in between, and each record is processed again once. What is
// written meanwhile is none of theirs.
func TestRedoOfManyByTwo(t *testing.T) {
	p := shop(4)
	c, cl := cluster(t, p)
	produce(t, cl, p, load(4000, 4)...)
	cfg := again(t, cl, p, 3)
	cfg.Rate = 2000
	cfg.Letters = 4000
	newest := map[string]int64{}
	for _, r := range testkit.Records(t, c.ListenAddrs(), raw(p)) {
		newest[string(r.Key)] = r.Offset
	}
	_, stop := startRedo(t, c, p, cfg, "a")
	_, stopB := startRedo(t, c, p, cfg, "b")
	produce(t, cl, p, load(500, 4)...)
	testkit.Await(t, c.ListenAddrs(), 5, processed(p))
	stop()
	awaitRedo(t, cl, p, cfg)
	stopB()
	for key, all := range outcomes(t, c, p, 3) {
		for i, text := range all {
			if slices.Contains(all[:i], text) || len(all) > 2 {
				t.Errorf("key %s: %v", key, all)
			}
		}
	}
	refused := map[string]int64{}
	for _, r := range testkit.Records(t, c.ListenAddrs(), letters(p)) {
		refused[string(r.Key)] = position(t, r)
	}
	for key, offset := range newest {
		got := outcomes(t, c, p, 3)[key]
		if refused[key] != offset && (len(got) != 1 || got[0][:len(strconv.FormatInt(offset, 10))+1] != strconv.FormatInt(offset, 10)+":") {
			t.Errorf("key %s: newest %d, letter %d, outcomes %v", key, offset, refused[key], got)
		}
	}
}

// TestRedoStopsAtLetters: it produces nothing if too many records would be refused.
func TestRedoStopsAtLetters(t *testing.T) {
	p := shop(1)
	c, cl := cluster(t, p)
	for i := range 20 {
		produce(t, cl, p, &kgo.Record{Key: []byte(strconv.Itoa(i)), Value: fmt.Appendf(nil, `{"id":%d,"n":"x","status":"ok"}`, i)})
	}
	cfg := again(t, cl, p, 2)
	cfg.Letters = 19
	r, err := processor.NewRedo(p, quick(), env(t, c, "a"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = r.Run(ctx)
	if tooMany, ok := errors.AsType[*processor.TooManyLettersError](err); !ok || tooMany.Letters != 20 || tooMany.Keys != 20 {
		t.Fatalf("%v", err)
	}
	if n := len(testkit.Records(t, c.ListenAddrs(), letters(p), processed(p))); n != 0 {
		t.Errorf("%d records were produced", n)
	}
}

// TestRedoOutcomesAreWhatARedoMakes, and nothing is produced.
func TestRedoOutcomesAreWhatARedoMakes(t *testing.T) {
	p := shop(2)
	c, cl := cluster(t, p)
	produce(t, cl, p, load(600, 2)...)
	cfg := again(t, cl, p, 4)
	cfg.Letters = 1000
	dry, refused := map[string][]string{}, 0
	for r, err := range processor.RedoOutcomes(t.Context(), p, env(t, c, "dry"), cfg, func(processor.Refused) { refused++ }) {
		if err != nil {
			t.Fatal(err)
		}
		header, _ := topics.Header(r, topics.HeaderVersion)
		v, err := topics.ParseVersion(header)
		if err != nil {
			t.Fatal(err)
		}
		dry[string(r.Key)] = append(dry[string(r.Key)], fmt.Sprintf("%d:%s", v.Offset(), r.Value))
	}
	if n := len(testkit.Records(t, c.ListenAddrs(), letters(p), processed(p))); n != 0 {
		t.Errorf("%d records were produced", n)
	}
	_, stop := startRedo(t, c, p, cfg, "a")
	awaitRedo(t, cl, p, cfg)
	stop()
	if got := outcomes(t, c, p, 4); !maps.EqualFunc(got, dry, slices.Equal) || len(dry) == 0 {
		t.Errorf("%v, want %v", dry, got)
	}
	if n := len(testkit.Records(t, c.ListenAddrs(), letters(p))); n != refused {
		t.Errorf("%d are refused, want %d", refused, n)
	}
	for _, err := range processor.RedoOutcomes(t.Context(), p, env(t, c, "dry"), cfg, func(processor.Refused) {}) {
		if err != nil {
			t.Error(err)
		}
		break // it may be left
	}
}

// TestRedoEndsWhenItIsFenced: once a redo was ended and its sessions are fenced, nothing more of it is committed.
func TestRedoEndsWhenItIsFenced(t *testing.T) {
	p := shop(2)
	c, cl := cluster(t, p)
	for i := range 400 {
		key := strconv.Itoa(i)
		produce(t, cl, p, &kgo.Record{
			Key: []byte(key), Partition: int32(i % 2), Value: fmt.Appendf(nil, `{"id":%d,"n":%d,"status":"ok"}`, i, i),
		})
	}
	cfg := again(t, cl, p, 2)
	cfg.Rate = 100
	var ended atomic.Bool
	cfg.Begun = func(context.Context) error {
		if ended.Load() {
			return processor.ErrRedoChanged
		}
		return nil
	}
	r, err := processor.NewRedo(p, quick(), env(t, c, "a"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1) // one send, so that it never waits
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { done <- r.Run(ctx) }()
	testkit.Await(t, c.ListenAddrs(), 10, processed(p))
	ended.Store(true)
	if _, err := admin.Fence(t.Context(), cl, topics.ReplayTransactionalIDs(p.Name, "s")); err != nil {
		t.Fatal(err)
	}
	before := len(testkit.Records(t, c.ListenAddrs(), processed(p)))
	if err := <-done; err != nil || ctx.Err() != nil {
		t.Fatalf("%v, %v", err, ctx.Err())
	}
	if n := len(testkit.Records(t, c.ListenAddrs(), processed(p))); n != before || n == 400 {
		t.Errorf("%d records after the fence, %d at it", n, before)
	}
}

// TestRedoOfWhatRetentionHasLeft begins at the start of the log, be it beyond what was asked for.
func TestRedoOfWhatRetentionHasLeft(t *testing.T) {
	p := shop(2)
	c, cl := cluster(t, p)
	for i := range 20 {
		produce(t, cl, p, &kgo.Record{
			Key: []byte(strconv.Itoa(i)), Partition: int32(i % 2), Value: fmt.Appendf(nil, `{"id":%d,"n":%d,"status":"ok"}`, i, i),
		})
	}
	cfg := again(t, cl, p, 2)
	cfg.From = map[int32]int64{0: 2}
	gone := kadm.Offsets{}
	gone.Add(kadm.Offset{Topic: raw(p), Partition: 0, At: 7})
	gone.Add(kadm.Offset{Topic: raw(p), Partition: 1, At: 10})
	deleted, err := kadm.NewClient(cl).DeleteRecords(t.Context(), gone)
	if err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	_, stop := startRedo(t, c, p, cfg, "a")
	left := cfg
	left.Cut = map[int32]int64{0: cfg.Cut[0]} // nothing is left of the other partition
	awaitRedo(t, cl, p, left)
	stop()
	got := outcomes(t, c, p, 2)
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []string{"14", "16", "18"}) {
		t.Errorf("keys %v", keys)
	}
}
