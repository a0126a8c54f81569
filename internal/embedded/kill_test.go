package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/embedded"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// childDir makes the test binary a process that writes numbers from childFrom on to the embedded broker of that
// directory, until it is killed.
const (
	childDir  = "MILLRACE_TEST_EMBEDDED_CHILD"
	childFrom = "MILLRACE_TEST_EMBEDDED_FROM"
)

const (
	topic = "shop.orders.raw"
	group = "shop.processor"
	batch = 50        // records of one transaction
	life  = 1_000_000 // numbers of one life
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, write(dir, os.Getenv(childFrom)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// write produces transactions of numbered records and commits the number of the next one for a group, saying on stdout
// what has been committed. It ends with an error only.
func write(dir, from string) error {
	next, err := strconv.Atoi(from)
	if err != nil {
		return err
	}
	p := shop(dir)
	if _, err := embedded.Start(context.Background(), p, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.Kafka.Brokers...), kgo.TransactionalID("child"), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	adm := kadm.NewClient(cl)
	if err := admin.Ensure(ctx, adm, topics.Specs(p)); err != nil {
		return err
	}
	for {
		if err := transaction(ctx, cl, next); err != nil {
			return err
		}
		next += batch
		committed := kadm.Offsets{}
		committed.Add(kadm.Offset{Topic: topic, Partition: 0, At: int64(next)})
		if err := adm.CommitAllOffsets(ctx, group, committed); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(os.Stdout, next); err != nil {
			return err
		}
	}
}

func transaction(ctx context.Context, cl *kgo.Client, next int) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	for i := range batch {
		n := strconv.Itoa(next + i)
		cl.Produce(ctx, &kgo.Record{Key: []byte(n), Value: []byte(n)}, kgo.AbortingFirstErrPromise(cl).Promise())
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	return cl.EndTransaction(ctx, kgo.TryCommit)
}

// TestKillLosesNothing kills a process mid-load, again and again: whatever it said was committed is there once, in
// whole transactions, and so is the group's offset.
func TestKillLosesNothing(t *testing.T) {
	dir := t.TempDir()
	var committed []int // what each life said last
	for n := range 3 {
		committed = append(committed, killAt(t, dir, n*life, (20+10*n)*batch))
		numbers, offset := read(t, dir)
		check(t, numbers, committed)
		if offset < int64(committed[n]) {
			t.Errorf("the group's offset is %d, %d was committed", offset, committed[n])
		}
	}
}

// killAt starts a child that counts on from a number, and kills it once it has committed enough. It returns what the
// child said last.
func killAt(t *testing.T, dir string, from, enough int) (last int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir, childFrom+"="+strconv.Itoa(from))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(err)
		}
		if last >= from+enough {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			enough = life // read what it still said
		}
	}
	_ = child.Wait() // killed
	if ctx.Err() != nil || last == 0 {
		t.Fatalf("the child committed %d only", last)
	}
	return last
}

// read starts the broker on dir, as the next process would, and returns all committed records and the group's offset.
func read(t *testing.T, dir string) (numbers []int, offset int64) {
	t.Helper()
	p := shop(dir)
	s, err := embedded.Start(t.Context(), p, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx := soon(t)
	for _, r := range testkit.Records(t, p.Kafka.Brokers, topic) {
		n, err := strconv.Atoi(string(r.Value))
		if err != nil {
			t.Error(err)
		}
		numbers = append(numbers, n)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.Kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	o, _ := adm.FetchManyOffsets(ctx, group)[group].Fetched.Lookup(topic, 0) // 0 if there is no such group
	return numbers, o.At
}

// check finds each life's numbers from its first up to at least what it committed, each once and in whole transactions.
func check(t *testing.T, numbers []int, committed []int) {
	t.Helper()
	slices.Sort(numbers)
	for n, until := range committed {
		found := 0
		for found < len(numbers) && numbers[found] == n*life+found {
			found++
		}
		if n*life+found < until || found%batch != 0 {
			t.Fatalf("life %d: %d numbers in order, %d were committed, in batches of %d; then %v…",
				n, found, until-n*life, batch, numbers[found:min(found+10, len(numbers))])
		}
		numbers = numbers[found:]
	}
	if len(numbers) > 0 {
		t.Fatalf("%d numbers are doubled or of no life: %v…", len(numbers), numbers[:min(10, len(numbers))])
	}
}
