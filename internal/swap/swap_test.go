package swap_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/internal/swap"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testworld"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// anchors are keys that nobody changes: a reader that does not see them misses rows.
func anchors() (out []*kgo.Record) {
	for id := 1000; id < 1010; id++ {
		out = append(out, testworld.Raw(id, "open", id))
	}
	return out
}

// begin runs a process with the logic that doubles, and has the anchors and n more records in the table, until stop is
// called.
func (w *world) begin(n int) (stop func()) {
	w.T.Helper()
	stop = w.process(doubles)
	w.Write(anchors()...)
	w.Write(testworld.Some(0, n)...)
	w.Becomes("t", double)
	return stop
}

// readers read the table again and again until stop is called: it is there, whole, and of one line.
func (w *world) readers() (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.T.Context()))
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := w.whole(); err != nil {
					w.T.Error(err)
					return
				}
			}
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		all.Wait()
	})
	w.T.Cleanup(stop)
	return stop
}

// whole looks at the table as it is now.
func (w *world) whole() error {
	rows, err := w.Read("t")
	if err != nil {
		return err
	}
	by := map[string]int{}
	for id := 1000; id < 1010; id++ {
		text, ok := rows[strconv.Itoa(id)]
		if !ok {
			return fmt.Errorf("the row %d is missing", id)
		}
		n, _ := strconv.Atoi(strings.TrimSuffix(text, "OPEN"))
		by[fmt.Sprint(n/id, strings.HasSuffix(text, "OPEN"))]++
	}
	if len(by) != 1 {
		return fmt.Errorf("rows of both lines: %v", by)
	}
	return nil
}

// must swaps.
func (w *world) must(x *swap.Lines, ask swap.Ask, live uint16) {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(w.T.Context(), testworld.Patience)
	defer cancel()
	ask.Wait = testworld.Patience
	plan, err := x.Swap(ctx, ask)
	for range 20 {
		if !takenBack(err) {
			break
		}
		plan, err = x.Swap(ctx, ask)
	}
	if err != nil {
		w.T.Fatal(err)
	}
	if s := w.Decided(); plan.To != live || s.LiveNumber() != live || s.Line(live).State != control.LineLive || s.Line(plan.From).State != control.LineOld {
		w.T.Fatalf("%+v, and line %d is live: %+v; want line %d", plan, s.LiveNumber(), s.Lines, live)
	}
}

// takenBack reports whether a swap has changed nothing because readers held the table, or a line was late, for longer
// than it waits. On a slow machine that may be so.
func takenBack(err error) bool {
	if _, late := errors.AsType[*swap.LateError](err); late {
		return true
	}
	_, held := errors.AsType[*sink.RenameError](err)
	return held
}

// TestSwapUnderTraffic: a line with another column is built, swapped, taken back and swapped again, while records come
// and the table is read. No reader sees anything but a whole table of one line; in the end both tables are what fresh
// runs make.
func TestSwapUnderTraffic(t *testing.T) {
	w := newWorld(t, doubles)
	w.begin(300)
	stop, read := w.Traffic(300), w.readers()
	if n := w.shadow(triples); n != 2 {
		t.Fatalf("line %d", n)
	}
	x := w.lines(triples)
	if _, err := x.Preview(t.Context(), swap.Ask{Back: true}); !refused(err, "no line that was live before") {
		t.Errorf("%v", err)
	}
	w.must(x, swap.Ask{}, 2)
	if _, err := x.Preview(t.Context(), swap.Ask{}); !refused(err, "no line beside the live one that is newer") {
		t.Errorf("%v", err)
	}
	w.must(x, swap.Ask{Back: true}, 1)
	w.must(x, swap.Ask{}, 2)
	stop()
	w.Becomes("t", triple)
	w.Becomes("t__g1", double)
	w.must(x, swap.Ask{Back: true}, 1)
	w.Becomes("t", double)
	w.Becomes("t__g2", triple)
	read()
}

func refused(err error, text string) bool {
	is, ok := errors.AsType[*swap.RefusedError](err)
	return ok && strings.Contains(is.Error(), text)
}

// TestKilledSwapIsEnded: the driver dies in each step, and after the last one before it has told. The sinks end what it
// has left, and tell; the next command goes on from there. No record is lost or doubled.
func TestKilledSwapIsEnded(t *testing.T) {
	w := newWorld(t, doubles)
	w.begin(200)
	w.shadow(triples)
	stop, read := w.Traffic(200), w.readers()
	live := uint16(1)
	for _, kill := range []struct {
		name string
		at   func(statement string) bool // after it
		done bool
	}{
		{"frozen", func(statement string) bool { return statement == "COMMIT" }, false},
		{"about to rename", func(statement string) bool { return strings.Contains(statement, "'rename'") }, false},
		{"not told", func() func(string) bool {
			commits := 0
			return func(statement string) bool {
				if statement == "COMMIT" {
					commits++
				}
				return commits == 3
			}
		}(), true},
	} {
		x := w.lines(triples)
		x.Driver = func(d *sink.Swapper) {
			d.After = func(statement string) error {
				if kill.at(statement) {
					d.Abandon()
					return errors.New("killed")
				}
				return nil
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), testworld.Patience)
		if _, err := x.Swap(ctx, swap.Ask{Wait: testworld.Patience}); err == nil {
			t.Errorf("%s: the swap continued", kill.name)
		}
		cancel()
		if kill.done {
			live = 2
		}
		testkit.Eventually(t, testworld.Patience, func() error {
			var left int
			if err := w.DB.QueryRow("SELECT COUNT(*) FROM millrace_swaps").Scan(&left); err != nil || left > 0 {
				return fmt.Errorf("%s: %d swaps are left: %w", kill.name, left, err)
			}
			if s := w.Decided(); s.LiveNumber() != live {
				return fmt.Errorf("%s: line %d is live, want %d", kill.name, s.LiveNumber(), live)
			}
			return nil
		})
	}
	w.must(w.lines(triples), swap.Ask{Back: true}, 1)
	w.must(w.lines(triples), swap.Ask{}, 2)
	stop()
	w.Becomes("t", triple)
	w.Becomes("t__g1", double)
	read()
}

// TestDiffUnderTraffic: of a line that makes the same rows nothing is reported while records come, however late it is;
// what somebody has changed in its table is found, and nothing else.
func TestDiffUnderTraffic(t *testing.T) {
	w := newWorld(t, doubles)
	w.begin(300)
	w.shadow(doubles2)
	x := w.lines(doubles2)
	diff := func() *swap.Diff {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), testworld.Patience)
		defer cancel()
		d, err := x.Diff(ctx, swap.DiffAsk{Wait: testworld.Patience})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	stop := w.Traffic(300)
	for range 10 {
		if d := diff(); d.Differ != 0 || d.Only != [2]int64{} {
			t.Fatalf("%+v", d.Difference)
		}
	}
	for _, statement := range []string{
		"UPDATE t__g2 SET n = n + 1 WHERE id IN (1001, 1002)", "UPDATE t__g2 SET n = NULL WHERE id = 1003",
		"DELETE FROM t__g2 WHERE id = 1004", "INSERT INTO t__g2 (id, n, _mr_version) VALUES (5000, 1, x'')",
	} {
		if _, err := w.DB.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	d := diff()
	if d.Differ != 3 || d.Only != [2]int64{1, 1} || d.Columns["n"] != 3 || len(d.Columns) != 1 || d.Same() {
		t.Errorf("%+v", d.Difference)
	}
	if d.Tables != [2]string{"t", "t__g2"} || d.Lines != [2]uint16{1, 2} || len(d.Lacks[0]) != 1 || d.Lacks[0][0] != "status" {
		t.Errorf("%+v", d)
	}
	stop()
}

// TestDrop: a line that is dropped leaves nothing but its number, and the stream goes on. The one that is live, and the
// first one, are not.
func TestDrop(t *testing.T) {
	w := newWorld(t, doubles)
	w.begin(200)
	w.shadow(triples)
	x := w.lines(triples)
	if _, err := x.PreviewDrop(t.Context(), 1); !refused(err, "is live") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testworld.Patience)
	defer cancel()
	is, err := x.Drop(ctx, 0)
	if err != nil || is.Line != 2 {
		t.Fatalf("%+v, %v", is, err)
	}
	if s := w.Decided(); s.Line(2).State != control.LineDropped || s.LiveNumber() != 1 {
		t.Errorf("%+v", s.Lines)
	}
	gone := func() {
		t.Helper()
		if _, err := w.Read("t__g2"); err == nil {
			t.Error("the table is there")
		}
		found, err := kadm.NewClient(w.Client).ListTopics(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, topic := range found.Names() {
			if strings.HasPrefix(topic, topics.LineName(w.Name, "s", 2)) {
				t.Errorf("the topic %s is there", topic)
			}
		}
	}
	gone()
	// A stage that had not heard of it has created some of it again.
	if _, err := w.DB.Exec("CREATE TABLE t__g2 (id INT)"); err != nil {
		t.Fatal(err)
	}
	if _, err := kadm.NewClient(w.Client).CreateTopic(ctx, 1, 1, nil, is.Topics[0]); err != nil {
		t.Fatal(err)
	}
	if again, err := x.Drop(ctx, 2); err != nil || again.State != control.LineDropped {
		t.Errorf("%+v, %v", again, err)
	}
	gone()
	w.Write(testworld.Some(200, 50)...)
	w.Becomes("t", double)
	if n := w.shadow(doubles2); n != 3 {
		t.Errorf("line %d, want another number than the one that was dropped", n)
	}
	if _, err := x.PreviewDrop(ctx, 0); err != nil {
		t.Error(err)
	}
}

// TestADroppedLineIsNotRecreated: stages that were cut off while their line was dropped, and begin again, make none of
// its topics, nor its table.
func TestADroppedLineIsNotRecreated(t *testing.T) {
	w := newWorld(t, doubles)
	w.begin(0)
	w.shadow(triples)
	ctx, cancel := context.WithTimeout(t.Context(), testworld.Patience)
	defer cancel()
	is, err := w.lines(triples).Drop(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	line := topics.LineOf(w.Of(triples), &triples, is.Line, is.Table)
	for name, of := range map[string]lines.Start{"processor": lines.Processors(testworld.Config()), "sink": lines.Sinks(sink.DefaultConfig())} {
		env := w.Env("cut off")
		run, err := of(line, env, 0)
		if err != nil {
			t.Fatal(err)
		}
		stop := testkit.Run(t, run)
		testkit.Eventually(t, testworld.Patience, func() error {
			if waits := fmt.Sprint(env.Health.Waiting()); !strings.Contains(waits, "line 2 is dropped: nothing of it is created again") {
				return fmt.Errorf("%s: health says %s", name, waits)
			}
			return nil
		})
		stop()
	}
	if _, err := w.Read("t__g2"); err == nil {
		t.Error("the table is there")
	}
	found, err := kadm.NewClient(w.Client).ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range is.Topics {
		if found.Has(topic) {
			t.Errorf("the topic %s is there", topic)
		}
	}
}

// TestDropTheFirstLine: after a swap the line with which the stream began can go. The pipeline runs on without it, also
// when it is started again, and another line can be built and swapped in.
func TestDropTheFirstLine(t *testing.T) {
	w := newWorld(t, doubles)
	stop := w.begin(200)
	w.shadow(triples)
	w.must(w.lines(triples), swap.Ask{}, 2)
	ctx, cancel := context.WithTimeout(t.Context(), testworld.Patience)
	defer cancel()
	if is, err := w.lines(triples).Drop(ctx, 0); err != nil || is.Line != 1 || len(is.Topics) > 0 {
		t.Fatalf("%+v, %v", is, err)
	}
	w.Write(testworld.Some(200, 50)...)
	w.Becomes("t", triple)
	gone := func() {
		t.Helper()
		if _, err := w.Read("t__g1"); err == nil {
			t.Error("the table of the line that was dropped is there")
		}
		if s := w.Decided(); s.Line(1).State != control.LineDropped || s.LiveNumber() != 2 {
			t.Errorf("%+v", s.Lines)
		}
	}
	gone()
	if _, err := w.lines(triples).Preview(ctx, swap.Ask{Back: true}); !refused(err, "no line that was live before") {
		t.Errorf("%v", err)
	}
	stop()
	w.process(triples)
	w.Write(testworld.Some(250, 50)...)
	w.Becomes("t", triple)
	gone()
	if n := w.shadow(doubles2); n != 3 {
		t.Errorf("line %d", n)
	}
	w.must(w.lines(doubles2), swap.Ask{}, 3)
	w.Write(testworld.Some(300, 50)...)
	w.Becomes("t", twice)
	w.Becomes("t__g2", triple)
}

// TestWhatALineRefusedIsNotWaitedFor: the newest records are rows of the live line, and dead letters of the other one,
// which is as far all the same.
func TestWhatALineRefusedIsNotWaitedFor(t *testing.T) {
	w := newWorld(t, doubles)
	w.process(doubles)
	w.Write(testworld.Some(0, 50)...)
	w.Becomes("t", double)
	const refuses = 5_000_000 // 0 / 0
	divides := testworld.Logic{Refuses: "draft", N: "n * 2 + 0 / (n - 5000000)", Status: "varchar(20)"}.Stream()
	w.shadow(divides)
	partition := map[int32]bool{}
	for id := 1000; len(partition) < partitions; id++ {
		r := testworld.Raw(id, "open", refuses)
		w.Write(r)
		partition[r.Partition] = true
	}
	w.Becomes("t", double)
	w.must(w.lines(divides), swap.Ask{}, 2)
	if rows, err := w.Read("t"); err != nil || rows["1000"] != "" || len(rows) == 0 {
		t.Errorf("%v: record 1000 is a row of the line that refuses it, or there is none: %v", err, rows)
	}
}

// TestALineThatDoesNotCatchUp: without stages that run, a swap is refused, or taken back, and the live line goes on.
func TestALineThatDoesNotCatchUp(t *testing.T) {
	w := newWorld(t, doubles)
	stop := w.begin(100)
	w.shadow(triples)
	stop()
	w.Processor(w.Of(doubles), w.Env("live"))
	w.Sink(w.Of(doubles), w.Env("live"))
	w.Write(testworld.Some(100, 50)...)
	w.Becomes("t", double)
	ctx, cancel := context.WithTimeout(t.Context(), testworld.Patience)
	defer cancel()
	_, err := w.lines(triples).Swap(ctx, swap.Ask{Wait: 2 * time.Second})
	if late, ok := errors.AsType[*swap.LateError](err); !ok || late.Line != 2 {
		t.Fatalf("%v, want that line 2 is late", err)
	}
	w.Write(testworld.Some(150, 20)...)
	w.Becomes("t", double)
}

// TestRollbackGoesToTheLineBefore: a line that was taken back is not the one before the one that has come after it.
func TestRollbackGoesToTheLineBefore(t *testing.T) {
	w := newWorld(t, doubles)
	at := time.Now().UTC()
	_, err := control.Change(t.Context(), control.Config{Pipeline: w.Name, Who: "test", Client: w.Env("test").Kafka}, "s", func(s *control.Stream) error {
		s.LiveLine, s.Lines = 3, []control.Line{
			{Number: 1, State: control.LineOld, Table: "t__g1", At: at},
			{Number: 2, State: control.LineOld, Table: "t__g2", At: at.Add(-time.Hour)},
			{Number: 3, State: control.LineLive, Table: "t__g3", At: at},
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := w.lines(doubles).Preview(t.Context(), swap.Ask{Back: true})
	if err != nil || plan.To != 1 || plan.Next != "t__g1" {
		t.Errorf("%+v, %v; want line 1", plan, err)
	}
}

// TestAFileOfBeforeTellsNothing: a command with a file that names the table that the stream had before any line does
// not make the base line live.
func TestAFileOfBeforeTellsNothing(t *testing.T) {
	w := newWorld(t, doubles)
	stop := w.begin(0)
	w.shadow(triples)
	w.must(w.lines(triples), swap.Ask{}, 2)
	const left = "INSERT INTO millrace_owners (table_name, pipeline, stream, topic_id, epoch, updated_at)" +
		" SELECT 'before', pipeline, stream, topic_id, epoch, updated_at FROM millrace_owners WHERE table_name = 't__g1'"
	if done, err := w.DB.Exec(left); err != nil {
		t.Fatal(err)
	} else if n, _ := done.RowsAffected(); n != 1 {
		t.Fatalf("%d owners", n)
	}
	before := doubles
	before.Sink.Table = "before"
	if _, err := w.lines(before).Preview(t.Context(), swap.Ask{Back: true}); err != nil {
		t.Error(err)
	}
	if live := w.Decided().LiveNumber(); live != 2 {
		t.Errorf("line %d is live, want 2", live)
	}
	w.Write(testworld.Some(0, 50)...)
	w.Becomes("t", triple)
	stop()
}
