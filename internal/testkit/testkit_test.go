package testkit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
)

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		third := testkit.That("the third time", func() bool { asked++; return asked == 3 })
		if err := testkit.Until(t.Context(), time.Second, third); err != nil || asked != 3 {
			t.Errorf("asked %d times: %v", asked, err)
		}
		start := time.Now()
		err := testkit.Until(t.Context(), time.Minute, testkit.That("pigs fly", func() bool { return false }))
		if err == nil || err.Error() != "not within 1m0s: pigs fly" || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := testkit.Until(ctx, time.Minute, third); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestBuffer(t *testing.T) {
	var b testkit.Buffer
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				fmt.Fprintln(&b, "line")
				_ = b.String()
			}
		})
	}
	wg.Wait()
	if n := strings.Count(b.String(), "line\n"); n != 400 {
		t.Errorf("%d lines, want 400", n)
	}
}

// TestRecords reads committed records only, and comes to an end where the last ones are aborted, and in an empty topic.
func TestRecords(t *testing.T) {
	c := testkafka.New(t)
	testkafka.Topics(t, c, 3, "numbers", "empty")
	cl := testkafka.Client(t, c, kgo.TransactionalID("test"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ctx := t.Context()
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for partition := range int32(2) {
			r := &kgo.Record{Topic: "numbers", Partition: partition, Value: fmt.Append(nil, i)}
			if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := cl.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range testkit.Await(t, c.ListenAddrs(), 4, "empty", "numbers") {
		got = append(got, fmt.Sprintf("%d:%s", r.Partition, r.Value))
	}
	if d := cmp.Diff([]string{"0:0", "0:2", "1:0", "1:2"}, got); d != "" {
		t.Error(d)
	}
	if err := testkit.Read(ctx, c.ListenAddrs(), "absent", func(*kgo.Record) {}); err == nil {
		t.Error("no error for a topic that does not exist")
	}
}

func TestRun(t *testing.T) {
	var began, ended atomic.Int32
	stop := testkit.Run(t, func(ctx context.Context) error {
		began.Add(1)
		<-ctx.Done()
		ended.Add(1)
		return nil
	})
	testkit.Eventually(t, 10*time.Second, testkit.That("begun", func() bool { return began.Load() == 1 }))
	stop()
	stop()
	if began.Load() != 1 || ended.Load() != 1 {
		t.Errorf("begun %d times, ended %d times, want once", began.Load(), ended.Load())
	}
}
