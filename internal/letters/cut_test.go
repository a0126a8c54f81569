package letters_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// edited is a stream whose letters are edited, by processes that die.
type edited struct {
	t       *testing.T
	cluster *kfake.Cluster
	cl      *kgo.Client
	cfg     letters.EditConfig
	edits   []letters.Edit
	want    map[string]topics.Outcome // by the id of the letter
}

// newEdited makes letters that take two transactions to be edited. Each tenth is of a key that has a newer raw record.
func newEdited(t *testing.T) *edited {
	t.Helper()
	cluster := testkafka.New(t)
	e := &edited{t: t, cluster: cluster, want: map[string]topics.Outcome{}}
	testkafka.Topics(t, cluster, 3, "p.s.raw", "p.s.dlq")
	testkafka.Topics(t, cluster, 1, topics.Control("p"))
	e.cl = testkafka.Client(t, cluster, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	e.cfg = letters.EditConfig{
		Pipeline: "p", Stream: "s", Raw: "p.s.raw", Partitions: 3, MaxBytes: 1 << 20,
		Control: control.Config{Pipeline: "p", Who: "a test", Client: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}},
	}
	details, err := kadm.NewClient(e.cl).ListTopics(t.Context(), "p.s.raw")
	if err != nil {
		t.Fatal(err)
	}
	id := details["p.s.raw"].ID
	if _, err := control.Change(t.Context(), e.cfg.Control, "s", func(s *control.Stream) error {
		s.Epochs = []control.Epoch{{Number: 0, RawTopicID: hex.EncodeToString(id[:])}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	e.refuse(505)
	return e
}

// refuse produces raw records, and their letters.
func (e *edited) refuse(n int) {
	e.t.Helper()
	raw := make([]*kgo.Record, 0, n)
	for i := range n {
		raw = append(raw, &kgo.Record{
			Topic: "p.s.raw", Partition: int32(i % 3), Key: fmt.Append(nil, i), Value: []byte("wrong"), Timestamp: time.Now(),
		})
	}
	e.produce(raw)
	var behind []*kgo.Record
	for i, r := range raw {
		id := topics.LetterID("processor", r.Topic, 0, r.Partition, r.Offset)
		behind = append(behind, topics.Letter{Stage: "processor", Generation: 1, Step: "x", Reason: "y", Attempt: 1}.Record("p.s.dlq", id, r))
		e.edits = append(e.edits, letters.Edit{ID: id, Value: fmt.Appendf(nil, `{"of": %q}`, id)})
		e.want[id] = topics.Edited
		if i%10 == 0 {
			e.want[id] = topics.Superseded
			behind = append(behind, &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: []byte("newer"), Timestamp: time.Now()})
		}
	}
	e.produce(behind)
}

func (e *edited) produce(records []*kgo.Record) {
	e.t.Helper()
	if err := e.cl.ProduceSync(e.t.Context(), records...).FirstErr(); err != nil {
		e.t.Fatal(err)
	}
}

// dies writes the edits in a process that dies at a request. It reports whether it came so far.
func (e *edited) dies(at int64) bool {
	e.t.Helper()
	m, cfg := testkit.NewMortal(at), e.cfg
	cfg.Control.Client = append(slices.Clone(cfg.Control.Client), kgo.Dialer(m.Dial))
	died, err := m.Live(e.t.Context(), time.Minute, func(ctx context.Context) error {
		_, err := letters.Write(ctx, cfg, e.edits)
		return err
	})
	if err != nil && !died {
		e.t.Fatal(err)
	}
	return died
}

// check compares what became of the letters, which are all closed, each once, and what was written to the raw topic for
// them.
func (e *edited) check() {
	e.t.Helper()
	written, closed := map[string]int{}, map[string]int{}
	err := admin.Read(e.t.Context(), e.cfg.Control.Client, "p.s.raw", func(r *kgo.Record) {
		if id, ok := topics.Header(r, topics.HeaderEdit); ok {
			written[string(id)]++
		}
	})
	if err != nil {
		e.t.Fatal(err)
	}
	if err := admin.Read(e.t.Context(), e.cfg.Control.Client, "p.s.dlq", func(r *kgo.Record) {
		if _, ok := topics.ParseClosing(r); ok {
			id, _ := topics.Header(r, topics.HeaderID)
			closed[string(id)]++
		}
	}); err != nil {
		e.t.Fatal(err)
	}
	all, err := letters.Read(e.t.Context(), e.cfg.Control.Client, "p", "s", false)
	if err != nil || len(all) != len(e.want) {
		e.t.Fatalf("%d letters, %v", len(all), err)
	}
	for _, l := range all {
		id := l.Origin.ID
		records := 0
		if e.want[id] == topics.Edited {
			records = 1
		}
		switch {
		case l.Closed == nil:
			e.t.Fatalf("%s is open", id)
		case l.Closed.Outcome != e.want[id] || closed[id] != 1 || written[id] != records:
			e.t.Fatalf("%s was closed %d times, as %s, and written %d times; want once, as %s, and %d times",
				id, closed[id], l.Closed.Outcome, written[id], e.want[id], records)
		}
	}
}

// TestEditsAreCutAtEachRequest: an edited record and the closing of its letter are one: a process dies at each request
// that changes something, and another writes the same edits. Each is in the raw topic once, and the letter is closed
// once; what has a newer record is not written.
func TestEditsAreCutAtEachRequest(t *testing.T) {
	for at := int64(0); ; at++ {
		e := newEdited(t)
		died := e.dies(at)
		if died {
			if _, err := letters.Write(t.Context(), e.cfg, e.edits); err != nil {
				t.Fatalf("after a death at request %d: %v", at, err)
			}
		}
		if e.check(); t.Failed() {
			t.Fatalf("died at request %d: %t", at, died)
		}
		if !died {
			if t.Logf("died at %d requests", at); at < 7 {
				t.Errorf("a process died at %d requests only", at)
			}
			return
		}
	}
}

// cutOff calls do with a context that ends once the brokers have got a request of these kinds, none of which they
// answer.
func (e *edited) cutOff(do func(context.Context) error, keys ...kmsg.Key) {
	e.t.Helper()
	ctx, end := context.WithCancel(e.t.Context())
	defer end()
	for _, key := range keys {
		e.cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
			e.cluster.KeepControl()
			end()
			return nil, nil, true
		})
	}
	ended := make(chan error, 1) // one send, so that it never waits
	go func() { ended <- do(ctx) }()
	select {
	case err := <-ended:
		if err == nil {
			e.t.Error("nothing failed")
		}
	case <-time.After(time.Minute):
		e.t.Fatal("it continues after its context has ended")
	}
}

// TestEditsEndWithTheirContext although the brokers do not answer any more.
func TestEditsEndWithTheirContext(t *testing.T) {
	e := newEdited(t)
	e.cutOff(func(ctx context.Context) error {
		_, err := letters.Write(ctx, e.cfg, e.edits)
		return err
	}, kmsg.Produce, kmsg.EndTxn)
}

// TestClosingEndsWithItsContext although the brokers do not answer any more.
func TestClosingEndsWithItsContext(t *testing.T) {
	e := newEdited(t)
	all, err := letters.Read(t.Context(), e.cfg.Control.Client, "p", "s", true)
	if err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	e.cutOff(func(ctx context.Context) error {
		return letters.Close(ctx, e.cfg.Control.Client, map[*letters.Letter]topics.Closing{all[0]: {Outcome: topics.Discarded}}, 1<<20)
	}, kmsg.Produce)
}
