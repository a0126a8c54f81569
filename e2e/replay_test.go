//go:build integration

package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/pipeline/file"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// replayWorld is a stream whose raw records the test writes itself, so that it knows each revision, with the processes that
// make a table of them, and a reader that looks at the table all the time.
type replayWorld struct {
	t        *testing.T
	fleet    *fleet
	pipeline string
	dsn      string
	brokers  []string
	db       *sql.DB
	client   *kgo.Client
	dice     *rand.Rand

	mu     sync.Mutex
	rev    int64
	newest map[int64]revised // by key
}

// revised is the newest revision of a key.
type revised struct {
	rev    int64
	status string // "deleted": there is none
}

const replayPartitions = 4

const deleted = "deleted"

var replayStages = []string{"processor-1", "processor-2", "sink-1", "sink-2"}

func newReplayWorld(t *testing.T) *replayWorld {
	t.Helper()
	s := seed(t)
	w := &replayWorld{
		t: t, pipeline: fmt.Sprintf("replay-%x", rand.Uint32()), dsn: testservers.MySQL(t), brokers: testservers.Kafka(t),
		dice: rand.New(rand.NewPCG(s, 7)), newest: map[int64]revised{},
	}
	w.fleet = newFleet(t, build(t, nil), w.file(2))
	var err error
	if w.db, err = sql.Open("mysql", w.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	w.client, err = kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	return w
}

// file is a pipeline whose map multiplies by factor.
func (w *replayWorld) file(factor int) string {
	return fmt.Sprintf(`
pipeline: %s
kafka: {brokers: ["%s"], partitions: %d}
database: {mysql: "%s"}
http: {base_url: "http://127.0.0.1:1"}
streams:
  orders:
    ingest: {path: /orders, key: id}
    process:
      - filter: status != "draft"
      - map: {id: id, rev: rev, value: rev * %d}
    sink:
      table: orders
      columns: {id: bigint key, rev: bigint, value: bigint}
`, w.pipeline, w.brokers[0], replayPartitions, w.dsn, factor)
}

// write writes n revisions of some keys.
func (w *replayWorld) write(ctx context.Context, n, keys int) error {
	records := make([]*kgo.Record, n)
	w.mu.Lock()
	for i := range records {
		w.rev++
		id := w.dice.Int64N(int64(keys))
		at := revised{w.rev, [...]string{"ok", "ok", "ok", "ok", "draft", deleted}[w.dice.IntN(6)]}
		w.newest[id] = at
		r := &kgo.Record{Topic: topics.Raw(w.pipeline, "orders"), Key: strconv.AppendInt(nil, id, 10)}
		r.Partition = topics.Partition(r.Key, replayPartitions)
		r.Headers = topics.RawHeaders{PageID: "0", Ordinal: i, Time: time.Now()}.Append(nil)
		if at.status != deleted {
			r.Value = fmt.Appendf(nil, `{"id":%d,"rev":%d,"status":%q}`, id, at.rev, at.status)
		}
		records[i] = r
	}
	w.mu.Unlock()
	return w.client.ProduceSync(ctx, records...).FirstErr()
}

// traffic writes revisions until ctx ends.
func (w *replayWorld) traffic(ctx context.Context, keys int) error {
	for ctx.Err() == nil {
		if err := w.write(context.WithoutCancel(ctx), 20, keys); err != nil {
			return err
		}
		testkit.Pause(ctx, 50*time.Millisecond) // the pace of the source
	}
	return nil
}

// row is one of the table.
type row struct{ rev, value int64 }

func (w *replayWorld) rows(ctx context.Context) (map[int64]row, error) {
	found, err := w.db.QueryContext(ctx, "SELECT id, rev, value FROM orders")
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	out := map[int64]row{}
	for found.Next() {
		var id int64
		var r row
		if err := found.Scan(&id, &r.rev, &r.value); err != nil {
			return nil, err
		}
		out[id] = r
	}
	return out, found.Err()
}

// sight is what the reader has seen of a key.
type sight struct {
	rev   int64 // the highest
	value int64 // of that revision
	gone  bool  // it was not there when it was looked for last
}

// look reads the table again and again until ctx ends. Its error is a row that went back to an older revision, or to the logic
// before, or that came back after it was gone.
func (w *replayWorld) look(ctx context.Context) (looks int, err error) {
	seen := map[int64]sight{}
	for ctx.Err() == nil {
		now, err := w.rows(ctx)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			return looks, err
		}
		looks++
		for id, r := range now {
			was := seen[id]
			switch {
			case r.rev < was.rev:
				return looks, fmt.Errorf("look %d: row %d went back from revision %d to %d", looks, id, was.rev, r.rev)
			case was.gone && r.rev == was.rev:
				return looks, fmt.Errorf("look %d: row %d came back in revision %d", looks, id, r.rev)
			case r.rev == was.rev && r.value < was.value:
				return looks, fmt.Errorf("look %d: row %d went back from the value %d to %d in revision %d", looks, id, was.value, r.value, r.rev)
			}
			seen[id] = sight{rev: r.rev, value: r.value}
		}
		for id, was := range seen {
			if _, there := now[id]; !there && !was.gone {
				was.gone = true
				seen[id] = was
			}
		}
		testkit.Pause(ctx, 5*time.Millisecond)
	}
	return looks, nil
}

// settled waits until the table has all that was written.
func (w *replayWorld) settled(within time.Duration) {
	w.t.Helper()
	testkit.Eventually(w.t, within, func() error {
		if died := w.fleet.died(); len(died) > 0 {
			w.t.Fatalf("%s ended by itself:\n%s", died[0].name, died[0].tail(20))
		}
		ctx := w.t.Context()
		if n, err := admin.Lag(ctx, w.client, topics.ProcessorGroup(w.pipeline), replayPartitions, topics.Raw(w.pipeline, "orders")); n > 0 || err != nil {
			return fmt.Errorf("processors lag %d: %w", n, err)
		}
		next := map[int32]int64{}
		for partition := range int32(replayPartitions) {
			next[partition] = -1
		}
		found, err := w.db.QueryContext(ctx, "SELECT part, next_offset FROM millrace_offsets WHERE topic = ?", topics.Processed(w.pipeline, "orders"))
		if err != nil {
			return err
		}
		defer func() { _ = found.Close() }()
		for found.Next() {
			var partition int32
			var offset int64
			if err := found.Scan(&partition, &offset); err != nil {
				return err
			}
			next[partition] = offset
		}
		n, err := admin.Remaining(ctx, w.client, map[string]map[int32]int64{topics.Processed(w.pipeline, "orders"): next})
		if n > 0 || err != nil || found.Err() != nil {
			return fmt.Errorf("sinks lag %d: %w", n, errors.Join(err, found.Err()))
		}
		return nil
	})
}

// compare checks that the table is what a fresh run makes.
func (w *replayWorld) compare(factor int64) {
	w.t.Helper()
	want := map[int64]row{}
	for id, at := range w.newest {
		if at.status == "ok" {
			want[id] = row{at.rev, at.rev * factor}
		}
	}
	got, err := w.rows(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if maps.Equal(got, want) {
		w.t.Logf("%d rows are as of a fresh run", len(got))
		return
	}
	told := 0
	for id := range w.newest {
		if got[id] != want[id] && told < 20 {
			told++
			w.t.Errorf("row %d is %+v, want %+v (%+v)", id, got[id], want[id], w.newest[id])
		}
	}
}

// replayUnderTraffic deploys a wrong map, corrects it by a replay of two processes under live traffic, and kills processes at random
// meanwhile.
func replayUnderTraffic(t *testing.T, records, kills int) {
	w := newReplayWorld(t)
	if err := admin.Ensure(t.Context(), kadm.NewClient(w.client), w.specs()); err != nil {
		t.Fatal(err)
	}
	keys := records / 5
	w.fleet.startAll(replayStages...)
	for range records / 1000 {
		if err := w.write(t.Context(), 1000, keys); err != nil {
			t.Fatal(err)
		}
	}
	w.settled(3 * time.Minute)
	w.compare(2)

	right := filepath.Join(t.TempDir(), "right.yaml")
	if err := os.WriteFile(right, []byte(w.file(3)), 0o600); err != nil {
		t.Fatal(err)
	}
	replayer := func(name string) {
		w.fleet.launch(name, "millrace", "replay", right, "orders", "--yes", "--instance", name, "--rate", strconv.Itoa(max(500, keys/20)))
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	var wrote, saw error
	looks := 0
	all.Go(func() { wrote = w.traffic(ctx, keys) })
	all.Go(func() { looks, saw = w.look(ctx) })
	replayers := []string{"replay-1", "replay-2"}
	replayer(replayers[0])
	killed := 0
	for deadline := time.Now().Add(5 * time.Minute); ; {
		testkit.Pause(ctx, time.Duration(300+w.dice.IntN(900))*time.Millisecond) // the moments of kills
		left := 0
		for _, name := range replayers {
			p := w.fleet.get(name)
			if p == nil {
				if !w.redone() {
					replayer(name)
					left++
				}
				continue
			}
			select {
			case <-p.done:
				if code := p.cmd.ProcessState.ExitCode(); code != 0 {
					t.Fatalf("%s: exit code %d\n%s", name, code, p.tail(20))
				}
				w.fleet.forget(p)
			default:
				left++
			}
		}
		if left == 0 || time.Now().After(deadline) {
			break
		}
		if killed < kills {
			killed++
			if name := append(replayers, replayStages...)[w.dice.IntN(6)]; w.fleet.get(name) != nil {
				w.fleet.kill(name)
				if w.dice.IntN(2) == 0 && name[0] != 'r' {
					testkit.Pause(ctx, time.Duration(w.dice.IntN(1000))*time.Millisecond)
				}
				if name[0] != 'r' {
					w.fleet.start(name)
				}
			}
		}
	}
	if !w.redone() {
		t.Fatal("the replay has not ended")
	}
	testkit.Pause(ctx, time.Second) // for the reader to see what comes after
	stop()
	all.Wait()
	if wrote != nil || saw != nil {
		t.Errorf("traffic: %v; reader: %v", wrote, saw)
	}
	t.Logf("%d kills; the reader looked %d times; %d revisions", killed, looks, w.rev)
	w.settled(3 * time.Minute)
	w.compare(3)
	for _, name := range replayStages {
		w.fleet.stop(name)
	}
}

// redone reports whether a replay has begun and ended.
func (w *replayWorld) redone() bool {
	w.t.Helper()
	v := control.NewView(control.Config{Pipeline: w.pipeline, Client: []kgo.Opt{kgo.SeedBrokers(w.brokers...)}})
	defer v.Close()
	if _, err := v.Refresh(context.WithoutCancel(w.t.Context())); err != nil {
		w.t.Fatal(err)
	}
	s := v.Stream("orders")
	return s.Redo == nil && s.Live > 1
}

// specs are the topics.
func (w *replayWorld) specs() []topics.Spec {
	w.t.Helper()
	p, err := file.Load(w.fleet.file)
	if err != nil {
		w.t.Fatal(err)
	}
	return topics.Specs(p)
}

// TestReplayUnderTraffic: nobody who reads the table sees a row go back or come back, and at the end it is as of a fresh run.
func TestReplayUnderTraffic(t *testing.T) { replayUnderTraffic(t, 20_000, 0) }

// TestReplayKills is the same while processes of all kinds are killed.
func TestReplayKills(t *testing.T) { replayUnderTraffic(t, *recordsFlag, *killsFlag) }
