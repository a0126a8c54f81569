package letters_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// TestEditsAndAGrow: edits are refused while the topics are given more partitions, and with a file of another number;
// and the letter of a record that was moved stays open.
func TestEditsAndAGrow(t *testing.T) {
	cluster := testkafka.New(t)
	testkafka.Topics(t, cluster, 3, "p.s.raw", "p.s.dlq")
	testkafka.Topics(t, cluster, 1, topics.Control("p"))
	cl := testkafka.Client(t, cluster, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	letter := letterOf("processor", 1, 1)
	letter.Topic = "p.s.dlq"
	if err := cl.ProduceSync(t.Context(), letter, &kgo.Record{
		Topic: "p.s.raw", Partition: 2, Key: letter.Key, Value: []byte("{}"), Timestamp: time.Now(),
	}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	details, err := kadm.NewClient(cl).ListTopics(t.Context(), "p.s.raw")
	if err != nil {
		t.Fatal(err)
	}
	id := details["p.s.raw"].ID
	raw := hex.EncodeToString(id[:])
	cfg := letters.EditConfig{
		Pipeline: "p", Stream: "s", Raw: "p.s.raw", Partitions: 3, MaxBytes: 1 << 20,
		Control: control.Config{Pipeline: "p", Who: "a test", Client: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}},
	}
	decide := func(f func(*control.Stream)) {
		t.Helper()
		if _, err := control.Change(t.Context(), cfg.Control, "s", func(s *control.Stream) error { f(s); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	write := func(want string) letters.Edited {
		t.Helper()
		done, err := letters.Write(t.Context(), cfg, []letters.Edit{{ID: topics.LetterID("processor", "p.s.raw", 0, 2, 7), Value: []byte(`{"a":1}`)}})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Fatalf("%+v, %v, want %q", done, err, want)
		}
		return done
	}
	write("no processor has seen the new one yet")
	decide(func(s *control.Stream) {
		s.Epochs = []control.Epoch{{Number: 0, RawTopicID: raw}}
		s.Grow = &control.Grow{From: 2, To: 3, State: control.GrowDraining, RawTopicID: raw}
	})
	write("its topics are given 3 partitions")
	decide(func(s *control.Stream) {
		s.Epochs, s.Grow, s.Partitions = append(s.Epochs, control.Epoch{Number: 1, RawTopicID: raw}), nil, 4
	})
	write("the file says 3")
	cfg.Partitions = 4
	if done := write(""); done != (letters.Edited{BeforeGrow: 1}) {
		t.Errorf("%+v", done)
	}
	all, err := letters.Read(t.Context(), cfg.Control.Client, "p", "s", false)
	if err != nil || len(all) != 1 || all[0].Closed != nil {
		t.Errorf("the letter is not open: %v, %v", all, err)
	}
}
