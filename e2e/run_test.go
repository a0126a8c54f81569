//go:build integration

package e2e

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/e2e/mutants"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

var (
	seedFlag    = flag.Uint64("seed", 0, "of everything that is random; 0: a new one, which is printed")
	killsFlag   = flag.Int("kills", 24, "how often processes are killed")
	recordsFlag = flag.Int("records", 100_000, "records and revisions of the source")
	serversFlag = flag.Bool("kill-servers", false, "kill the broker and mysqld too")
)

func TestMain(m *testing.M) { testservers.Main(m) }

func seed(t testing.TB) uint64 {
	s := *seedFlag
	if s == 0 {
		s = rand.Uint64N(1_000_000) + 1
	}
	t.Logf("seed %d (give it with -seed)", s)
	return s
}

// world is a source, servers, and the processes of a pipeline between them.
type world struct {
	t        testing.TB
	source   *source
	binaries string // their directory
	fleet    *fleet
	pipeline string
	brokers  []string
	dsn      string
	db       *sql.DB
	admin    *kadm.Client
	client   *kgo.Client
	dice     *rand.Rand
	shadowed []string // streams that have, or get, a second line
	runs     []string // the processes that survive starts
}

var twoOfEach = []string{"ingest-1", "ingest-2", "processor-1", "processor-2", "sink-1", "sink-2"}

// newWorld makes a world on servers that are there, of binaries as they are, or of a mutant if m is not nil.
func newWorld(t testing.TB, seed uint64, brokers []string, dsn string, m *mutants.Mutant) *world {
	t.Helper()
	return newWorldOf(t, newSource(t, seed), seed, brokers, dsn, m)
}

// newWorldOf makes one around a source.
func newWorldOf(t testing.TB, s *source, seed uint64, brokers []string, dsn string, m *mutants.Mutant) *world {
	t.Helper()
	w := &world{
		t: t, source: s, brokers: brokers, dsn: dsn, runs: twoOfEach, dice: rand.New(rand.NewPCG(seed, 2)),
		binaries: build(t, m), pipeline: fmt.Sprintf("e2e-%x", rand.Uint32()),
	}
	w.fleet = newFleet(t, w.binaries, w.source.file(w.pipeline, brokers, dsn))
	var err error
	if w.db, err = sql.Open("mysql", dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	// half of the seeds: whether sinks catch up by LOAD DATA
	if _, err := w.db.Exec("SET GLOBAL local_infile = ?", seed%2); err != nil {
		t.Fatal(err)
	}
	if w.client, err = kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(-1)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	w.admin = kadm.NewClient(w.client)
	return w
}

// changes has the source change n times, as fast as it takes to last about the given time, until ctx ends.
func (w *world) changes(ctx context.Context, n int, over time.Duration) {
	of := w.source.mix
	const step = 20 * time.Millisecond
	perStep := max(1, int(float64(n)*float64(step)/float64(over)))
	for i := 0; i < n && ctx.Err() == nil; {
		for range min(perStep, n-i) {
			w.source.change(of[i%len(of)])
			i++
		}
		testkit.Pause(ctx, step) // the pace of the source
	}
}

// sendAgain copies old processed records to the end of their partitions until ctx ends: rows and removals alike.
func (w *world) sendAgain(ctx context.Context) (sent int) {
	dice := rand.New(rand.NewPCG(w.dice.Uint64(), 3))
	for ctx.Err() == nil {
		stream := w.source.names[dice.IntN(len(w.source.names))]
		pipelines := w.pipelinesOf(stream)
		topic, partition := topics.Processed(pipelines[dice.IntN(len(pipelines))], stream), int32(dice.IntN(6))
		sent += w.copyRecords(ctx, dice, topic, partition)
		testkit.Pause(ctx, 100*time.Millisecond)
	}
	return sent
}

func (w *world) copyRecords(ctx context.Context, dice *rand.Rand, topic string, partition int32) (sent int) {
	ends, err := w.admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return 0
	}
	end, ok := ends.Lookup(topic, partition)
	if !ok || end.Offset < 2 {
		return 0
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxPartitionBytes(64<<10),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(dice.Int64N(end.Offset))}}))
	if err != nil {
		return 0
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	records := reader.PollRecords(ctx, 30).Records()
	for _, r := range records {
		headers := append(slices.Clone(r.Headers), kgo.RecordHeader{Key: copyHeader, Value: []byte("1")})
		again := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: headers}
		if w.client.ProduceSync(ctx, again).FirstErr() == nil {
			sent++
		}
	}
	return sent
}

// settle waits until everything has gone through: raw holds the newest of every record, and nothing remains to be read.
func (w *world) settle(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	quiet := 0
	last := ""
	for {
		now, done, err := w.position(ctx)
		switch {
		case err == nil && done && now == last:
			quiet++
		default:
			quiet = 0
		}
		if last = now; quiet >= 12 { // passes that find nothing new have gone by
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not settled within %v: %s (%w)", within, now, errors.Join(err, ctx.Err()))
		case <-time.After(500 * time.Millisecond):
		}
		if died := w.fleet.died(); len(died) > 0 {
			return fmt.Errorf("%s ended by itself:\n%s", died[0].name, died[0].tail(20))
		}
	}
}

// position is where everything stands, and whether the stages have read all that there is.
func (w *world) position(ctx context.Context) (string, bool, error) {
	var all standing
	done := true
	for _, stream := range w.source.names {
		for _, pipeline := range w.pipelinesOf(stream) {
			is, read, err := w.standing(ctx, stream, pipeline)
			if err != nil {
				return "", false, err
			}
			done = done && read
			all = standing{all.raw + is.raw, all.rawEnd + is.rawEnd, all.applied + is.applied, all.processedEnd + is.processedEnd}
		}
	}
	return fmt.Sprintf("raw %d of %d, processed %d of %d", all.raw, all.rawEnd, all.applied, all.processedEnd), done, nil
}

// standing is how far the stages are, in offsets of all partitions.
type standing struct{ raw, rawEnd, applied, processedEnd int64 }

// standing is how far those of a pipeline, or of a line, are in a stream.
func (w *world) standing(ctx context.Context, stream, pipeline string) (is standing, done bool, err error) {
	rawTopic, processed := topics.Raw(w.pipeline, stream), topics.Processed(pipeline, stream)
	ends, err := w.admin.ListEndOffsets(ctx, rawTopic, processed)
	if err != nil {
		return is, false, err
	}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Topic == rawTopic {
			is.rawEnd += o.Offset
		} else {
			is.processedEnd += o.Offset
		}
	})
	committed := map[string]map[int32]int64{rawTopic: {}}
	offsets, err := w.admin.FetchOffsetsForTopics(ctx, topics.ProcessorGroup(pipeline), rawTopic)
	if err != nil {
		return is, false, err
	}
	offsets.Each(func(o kadm.OffsetResponse) {
		committed[rawTopic][o.Partition] = max(o.At, 0)
		is.raw += max(o.At, 0)
	})
	stored, err := w.stored(ctx, processed)
	if err != nil {
		return is, false, err
	}
	for _, next := range stored {
		is.applied += next
	}
	committed[processed] = stored
	left, err := admin.Remaining(ctx, w.client, committed)
	return is, left == 0 && len(stored) > 0, err
}

// stored are the sink's next offsets.
func (w *world) stored(ctx context.Context, topic string) (map[int32]int64, error) {
	rows, err := w.db.QueryContext(ctx, "SELECT part, next_offset FROM millrace_offsets WHERE topic = ?", topic)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	out := map[int32]int64{}
	for rows.Next() {
		var partition int32
		var next int64
		if err := rows.Scan(&partition, &next); err != nil {
			return nil, err
		}
		out[partition] = next
	}
	return out, rows.Err()
}

// watchOffsets has MySQL note each move of a next offset that goes backwards, or does not begin where the one before
// ended: rows do not show it, since their versions make a batch that comes twice harmless. It waits for the sink's
// tables.
func (w *world) watchOffsets(ctx context.Context) error {
	if _, err := w.db.ExecContext(ctx, "CREATE TABLE backwards (topic VARCHAR(249), part INT, was BIGINT, became BIGINT)"); err != nil {
		return err
	}
	err := testkit.Until(ctx, 3*time.Minute, func() error {
		_, err := w.db.ExecContext(ctx, `CREATE TRIGGER forward BEFORE UPDATE ON millrace_offsets FOR EACH ROW
			INSERT INTO backwards SELECT NEW.topic, NEW.part, OLD.next_offset, NEW.next_offset WHERE NEW.next_offset < OLD.next_offset`)
		return err
	})
	if err != nil {
		return fmt.Errorf("no millrace_offsets: %w", err)
	}
	return w.watchRows(ctx)
}

// verdict lets everything settle and compares.
func (w *world) verdict(ctx context.Context, within time.Duration) (*comparison, error) {
	w.source.setFaults(false)
	waits := []func(context.Context, time.Duration) error{w.settle, w.awaitGone, w.settle}
	if w.source.shapes != nil {
		waits = append([]func(context.Context, time.Duration) error{w.source.shapes.sender.await}, waits...)
	}
	for _, wait := range waits {
		start := time.Now()
		if err := wait(ctx, within); err != nil {
			return nil, err
		}
		w.t.Logf("waited %v", time.Since(start).Round(time.Second))
	}
	live, err := w.live(ctx)
	if err != nil {
		return nil, err
	}
	lines, err := w.lines(ctx)
	if err != nil {
		return nil, err
	}
	c, err := compare(ctx, w.source, w.pipeline, w.brokers, w.dsn, live, lines)
	if err != nil {
		return nil, err
	}
	if err := w.applied(ctx, c); err != nil {
		return nil, err
	}
	return c, w.backwards(ctx, c)
}

// backwards adds what watchOffsets noted.
func (w *world) backwards(ctx context.Context, c *comparison) error {
	rows, err := w.db.QueryContext(ctx, "SELECT topic, part, was, became FROM backwards")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var topic string
		var partition int32
		var was, became int64
		if err := rows.Scan(&topic, &partition, &was, &became); err != nil {
			return err
		}
		c.wrongf("millrace_offsets: %s[%d] went back from %d to %d: a batch was applied twice", topic, partition, was, became)
	}
	return rows.Err()
}
