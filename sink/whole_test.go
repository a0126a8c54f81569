package sink

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// world is a pipeline of one stream, a broker, and a processor that is played by the test.
type world struct {
	t        testing.TB
	pipeline *pipeline.Pipeline
	seeds    []string
	cluster  *kfake.Cluster
	client   *kgo.Client // transactional, as the processor's
	adm      *kadm.Client
	raw      map[int32]int64   // next raw offset, by partition
	want     map[string]string // column n by key
	refused  int

	prepare    func(*Sink)      // of each sink, before it runs; nil: nothing
	generation uint16           // of records
	offsets    map[string]int64 // raw offset of each key's newest record
}

func newWorld(t testing.TB, p *pipeline.Pipeline) *world {
	t.Helper()
	p.Name = "p"
	p.Kafka = pipeline.Kafka{Partitions: 6, Replication: -1, MaxRecordBytes: 1 << 20}
	p.Streams = []pipeline.Stream{{
		Name:   "s",
		Ingest: pipeline.Ingest{Key: []string{"id"}},
		Sink: pipeline.Sink{Table: "things", Columns: []pipeline.ColumnType{
			{Name: "id", Type: "varchar(20)", Key: true, NotNull: true}, {Name: "n", Type: "int"},
		}},
	}}
	cluster := testkafka.New(t, kfake.NumBrokers(1))
	w := &world{t: t, cluster: cluster, pipeline: p, seeds: cluster.ListenAddrs(), raw: map[int32]int64{}, want: map[string]string{}, generation: 1, offsets: map[string]int64{}}
	// A sink fences processors, which this one is not.
	w.client = testkafka.Client(t, cluster, kgo.TransactionalID("test.p.0"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	w.adm = kadm.NewClient(testkafka.Client(t, cluster))
	if err := admin.Ensure(t.Context(), w.adm, topics.Specs(p)); err != nil {
		t.Fatal(err)
	}
	return w
}

// record is a processed record: the value n of a key, none, or one that no table takes.
func (w *world) record(key string, n any) *kgo.Record {
	partition := topics.Partition([]byte(key), w.pipeline.Kafka.Partitions)
	v := topics.NewVersion(0, 0, w.raw[partition], w.generation)
	w.offsets[key] = w.raw[partition]
	w.raw[partition]++
	r := &kgo.Record{
		Topic: topics.Processed(w.pipeline.Name, "s"), Partition: partition, Key: []byte(key),
		Headers: []kgo.RecordHeader{{Key: topics.HeaderVersion, Value: v[:]}},
	}
	switch n := n.(type) {
	case nil:
		pk, _ := json.Marshal([]string{key})
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: topics.HeaderPK, Value: pk})
		delete(w.want, key)
	case int:
		r.Value = fmt.Appendf(nil, `{"id":%q,"n":%d}`, key, n)
		w.want[key] = fmt.Sprint(n)
	default:
		r.Value = fmt.Appendf(nil, `{"id":%q,"n":{}}`, key)
		w.refused++
	}
	return r
}

// produce commits one transaction of n records: new rows, revisions, removals and, now and then, a refused one or a
// copy.
func (w *world) produce(n int) {
	w.t.Helper()
	var batch []*kgo.Record
	for range n {
		key := fmt.Sprintf("key-%d", rand.IntN(2000))
		switch rand.IntN(20) {
		case 0:
			batch = append(batch, w.record(key, nil))
		case 1:
			if len(batch) > 0 { // one that was sent before
				r := *batch[rand.IntN(len(batch))]
				if string(r.Value) != fmt.Sprintf(`{"id":%q,"n":{}}`, r.Key) {
					batch = append(batch, &r)
				}
			}
		case 2:
			if rand.IntN(50) == 0 {
				batch = append(batch, w.record(key, "refused"))
			}
		default:
			batch = append(batch, w.record(key, rand.IntN(1_000_000)))
		}
	}
	w.send(batch...)
}

// send commits records in one transaction.
func (w *world) send(batch ...*kgo.Record) {
	w.t.Helper()
	if err := w.client.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.client.ProduceSync(w.t.Context(), batch...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.client.EndTransaction(w.t.Context(), kgo.TryCommit); err != nil {
		w.t.Fatal(err)
	}
}

// running is a sink that runs.
type running struct {
	sink   *Sink
	health *stage.Health
	log    *testkit.Buffer
	stop   context.CancelFunc
	ended  chan error
}

// start runs a sink.
func (w *world) start(name string, change func(*Config)) *running {
	w.t.Helper()
	cfg := DefaultConfig()
	cfg.SessionTimeout, cfg.LoadRows = 6*time.Second, 1
	if change != nil {
		change(&cfg)
	}
	r := &running{health: &stage.Health{}, log: &testkit.Buffer{}, ended: make(chan error, 1)}
	var err error
	r.sink, err = New(w.pipeline, cfg, stage.Env{
		Instance: name, Kafka: []kgo.Opt{kgo.SeedBrokers(w.seeds...)}, Metrics: prometheus.NewRegistry(), Health: r.health,
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(w.t.Output(), r.log), nil)).With("sink", name),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.prepare != nil {
		w.prepare(r.sink)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	r.stop = cancel
	go func() { r.ended <- r.sink.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-r.ended; err != nil {
			w.t.Errorf("%s: %v", name, err)
		}
		r.ended <- nil
	})
	return r
}

// drain stops r and waits until it has ended.
func (r *running) drain(t *testing.T, within time.Duration) {
	t.Helper()
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Error(err)
		}
		r.ended <- nil
	case <-time.After(within):
		t.Fatalf("not drained within %s", within)
	}
}

// db opens the database as a user does.
func (w *world) db() *sql.DB {
	w.t.Helper()
	d, err := newDialect(w.pipeline)
	if err != nil {
		w.t.Fatal(err)
	}
	db, err := d.Open(time.Minute) // a statement that changes a table waits for a busy sink
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = db.Close() })
	return db
}

// caughtUp waits until the sink is at the end of every partition, and compares the rows.
func (w *world) caughtUp(db *sql.DB, within time.Duration) {
	w.t.Helper()
	topic := topics.Processed(w.pipeline.Name, "s")
	ends, err := w.adm.ListEndOffsets(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	testkit.Eventually(w.t, within, func() error {
		for partition := range w.pipeline.Kafka.Partitions {
			end, _ := ends.Lookup(topic, partition)
			var next int64
			err := db.QueryRow("SELECT next_offset FROM millrace_offsets WHERE topic = ? AND part = ?", topic, partition).Scan(&next)
			if err != nil {
				return err
			}
			if next != end.Offset {
				return fmt.Errorf("partition %d is at %d of %d", partition, next, end.Offset)
			}
		}
		return nil
	})
	w.rows(db)
}

// rows compares the rows.
func (w *world) rows(db *sql.DB) {
	w.t.Helper()
	rows, err := db.Query("SELECT id, n FROM things")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	got := map[string]string{}
	for rows.Next() {
		var id, n string
		if err := rows.Scan(&id, &n); err != nil {
			w.t.Fatal(err)
		}
		got[id] = n
	}
	if !maps.Equal(got, w.want) {
		w.t.Errorf("%d rows, want %d; %s", len(got), len(w.want), firstDifference(got, w.want))
	}
}

func firstDifference(got, want map[string]string) string {
	for k, v := range want {
		if got[k] != v {
			return fmt.Sprintf("%s is %q, want %q", k, got[k], v)
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok {
			return fmt.Sprintf("%s is %q, want no row", k, v)
		}
	}
	return "no difference"
}

// letters counts the dead letters by their ids.
func (w *world) letters() map[string]int {
	w.t.Helper()
	out := map[string]int{}
	for _, r := range testkit.Records(w.t, w.seeds, topics.DeadLetters("p", "s")) {
		id, _ := topics.Header(r, topics.HeaderID)
		out[string(id)]++
	}
	return out
}

func onSQLite(t *testing.T) *pipeline.Pipeline {
	t.Helper()
	return &pipeline.Pipeline{DataDir: t.TempDir(), Database: pipeline.Database{Embedded: true}}
}

func TestSinkWritesAndDrains(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.produce(3000)
	r := w.start("one", nil)
	db := w.db()
	w.caughtUp(db, 2*time.Minute)
	if n := len(w.letters()); n != w.refused {
		t.Errorf("%d letters, want %d", n, w.refused)
	}
	r.drain(t, 2*time.Minute)
	var owned int
	if err := db.QueryRow("SELECT COUNT(*) FROM millrace_offsets WHERE owner IS NOT NULL").Scan(&owned); err != nil || owned != 0 {
		t.Errorf("%d partitions have an owner after the drain (%v)", owned, err)
	}
	w.produce(1000)
	w.start("two", nil)
	w.caughtUp(db, 2*time.Minute)
}

// TestRefusedTogether: of ten rows each is good by itself, and no two may be in the table. One of them goes in, and
// the sink goes on.
func TestRefusedTogether(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.start("one", nil)
	db := w.db()
	w.caughtUp(db, 2*time.Minute)
	if _, err := db.Exec(`CREATE TRIGGER few BEFORE INSERT ON things
		WHEN NEW.n + (SELECT COALESCE(SUM(n), 0) FROM things WHERE id <> NEW.id) > 10 BEGIN SELECT RAISE(ABORT, 'too much'); END`); err != nil {
		t.Fatal(err)
	}
	var batch []*kgo.Record
	for i := range 10 {
		batch = append(batch, w.record(fmt.Sprint("key-", i), 6))
	}
	w.send(batch...)
	w.send(w.record("later", 1))
	testkit.Eventually(t, 2*time.Minute, func() error {
		var six, one int
		if err := db.QueryRow("SELECT COUNT(*) FILTER (WHERE n = 6), COUNT(*) FILTER (WHERE n = 1) FROM things").Scan(&six, &one); err != nil {
			return err
		}
		if letters := len(w.letters()); six != 1 || one != 1 || letters != 9 {
			return fmt.Errorf("%d rows of six, %d of one, %d letters; want 1, 1 and 9", six, one, letters)
		}
		return nil
	})
}

// TestRebalanceMidBatch adds and removes sinks under load.
func TestRebalanceMidBatch(t *testing.T) {
	rebalance(t, onSQLite(t))
}

func rebalance(t *testing.T, p *pipeline.Pipeline) {
	w := newWorld(t, p)
	small := func(c *Config) { c.MaxRecords, c.StatementRows = 50, 20 } // many batches
	sinks := []*running{w.start("0", small)}
	for i := range 12 {
		for range 4 {
			w.produce(500)
		}
		if i%3 == 2 {
			sinks[0].drain(t, 2*time.Minute)
			sinks = sinks[1:]
		} else {
			sinks = append(sinks, w.start(fmt.Sprint(i+1), small))
		}
	}
	w.caughtUp(w.db(), 2*time.Minute)
	if letters := w.letters(); len(letters) != w.refused {
		t.Errorf("%d letters, want %d", len(letters), w.refused)
	}
}

// TestPositionOutOfTheLog: what was not read yet has been deleted. The stream waits and says what to do, and goes on
// once that is done.
func TestPositionOutOfTheLog(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.produce(300)
	w.start("one", nil).drainAfter(t, w)
	w.produce(300)
	topic := topics.Processed("p", "s")
	ends, err := w.adm.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.adm.DeleteRecords(t.Context(), ends.Offsets()); err != nil {
		t.Fatal(err)
	}
	r := w.start("two", nil)
	r.waits(t, "stream s: p.s.processed[", "the database continues at offset")
	r.waits(t, "What puts it right: millrace recover FILE s")
	w.beginAgain(t)
	r.ready(t)
	r.degraded(t, "begins again, as a command declared")
	w.send(w.record("later", 1))
	testkit.Eventually(t, 2*time.Minute, func() error {
		var n int
		return w.db().QueryRow("SELECT n FROM things WHERE id = 'later'").Scan(&n)
	})
}

// waits returns once health says each of texts.
func (r *running) waits(t *testing.T, texts ...string) {
	t.Helper()
	testkit.Eventually(t, 2*time.Minute, func() error {
		why := r.health.Waiting()["sink"]
		for _, text := range texts {
			if !strings.Contains(why, text) {
				return fmt.Errorf("health says %q, want that it says %q", why, text)
			}
		}
		return nil
	})
}

// ready returns once nothing is waited for.
func (r *running) ready(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, 2*time.Minute, func() error {
		if why := r.health.Waiting()["sink"]; why != "" {
			return errors.New(why)
		}
		return nil
	})
}

// TestMarksArePrunedAsFastAsTheyAge: a sink that runs removes more old marks than one statement does, without a wait.
func TestMarksArePrunedAsFastAsTheyAge(t *testing.T) {
	f := newFixture(t, onSQLite(t), true)
	old := 2*dialect.PruneAtOnce + 7
	_, err := f.store.db.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO millrace_marks (stream, generation, raw_key, version, marked_at) SELECT 's', 1, CAST(i AS BLOB), X'01', '2001-01-01' FROM n`, old)
	if err != nil {
		t.Fatal(err)
	}
	f.store.cfg.MarkRetention = time.Hour
	for _, hour := range []string{"2001-01-02 00:00:00", "2001-01-03 00:00:00"} {
		if _, err := f.store.db.Exec("INSERT INTO millrace_caught_up (topic, hour) VALUES (?, ?)", topic, hour); err != nil {
			t.Fatal(err)
		}
	}
	s := &Sink{store: f.store, env: stage.Env{Log: slog.New(slog.DiscardHandler)}}
	s.tables.set(topic, f.table)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan struct{})
	go func() { defer close(ended); s.pruneMarks(ctx, 0) }()
	testkit.Eventually(t, 2*time.Minute, func() error {
		if n := f.marks(); n > 0 {
			return fmt.Errorf("%d marks", n)
		}
		return nil
	})
	stop()
	<-ended
}

// TestMarksThatCannotBePrunedAreToldOnce: not once for each stream, nor each minute.
func TestMarksThatCannotBePrunedAreToldOnce(t *testing.T) {
	f := newFixture(t, onSQLite(t), true)
	f.store.cfg.MarkRetention = time.Hour
	if err := f.store.db.Close(); err != nil {
		t.Fatal(err)
	}
	var log testkit.Buffer
	s := &Sink{store: f.store, env: stage.Env{Log: slog.New(slog.NewTextHandler(&log, nil))}}
	for n := range 50 {
		s.tables.set(fmt.Sprint("topic-", n), f.table)
	}
	told := ""
	for range 3 {
		_, told = s.pruneAll(t.Context(), told)
	}
	if n := strings.Count(log.String(), "old marks are not removed yet"); n != 1 {
		t.Errorf("%d lines, want 1:\n%s", n, log.String())
	}
}

// TestMarksDoNotAgeInAnOutage: while the processor is behind, no hour counts, and as soon as what waited is in the
// table, one does.
func TestMarksDoNotAgeInAnOutage(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	s := w.start("one", nil).sink
	db := w.db()
	w.caughtUp(db, 2*time.Minute)
	goals := map[string]*goal{}
	hours := func() (n int) {
		t.Helper()
		if err := s.noteCaughtUp(t.Context(), goals); err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRow("SELECT COUNT(*) FROM millrace_caught_up").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	raw := topics.Raw("p", "s")
	w.send(&kgo.Record{Topic: raw, Partition: 0, Key: []byte("key-1"), Value: []byte("{}")})
	if n := hours(); n != 0 {
		t.Errorf("%d hours while the processor has not read the raw topic", n)
	}
	if n := hours(); n != 0 {
		t.Errorf("%d hours while the processor still has not", n)
	}
	details, err := w.adm.ListTopics(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	id := details[raw].ID
	var at kadm.Offsets
	at.Add(kadm.Offset{ // before the marker of the transaction
		Topic: raw, At: 1, LeaderEpoch: -1, Metadata: topics.Position{RawTopicID: hex.EncodeToString(id[:])}.Metadata(),
	})
	if err := w.adm.CommitAllOffsets(t.Context(), topics.ProcessorGroup("p"), at); err != nil {
		t.Fatal(err)
	}
	w.produce(10)
	w.caughtUp(db, 2*time.Minute)
	if n := hours(); n != 1 {
		t.Errorf("%d hours once it has, want 1", n)
	}
}

// TestEndMovesBeforeTheClaim: whoever owned the partition read and wrote on after the end of its log was asked for.
func TestEndMovesBeforeTheClaim(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.produce(300)
	s := w.start("one", nil).sink
	w.caughtUp(w.db(), 2*time.Minute)
	infos, err := s.partitions(t.Context(), topics.Processed("p", "s"))
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for tp, info := range infos {
		info.end = info.start
		if err := s.claimAll(t.Context(), []topicPartition{tp}, map[topicPartition]bounds{tp: info}); err != nil {
			t.Error(err)
		}
	}
	if waits, _ := s.parking.has(topics.Processed("p", "s")); waits {
		t.Error("the position is lost")
	}
}

// drainAfter waits until everything is written.
func (r *running) drainAfter(t *testing.T, w *world) {
	t.Helper()
	w.caughtUp(w.db(), 2*time.Minute)
	r.drain(t, 2*time.Minute)
}

// TestDroppedTableIsNotMadeEmpty: while no sink ran, and while one does.
func TestDroppedTableIsNotMadeEmpty(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.produce(300)
	w.start("one", nil).drainAfter(t, w)
	db := w.db()
	for _, statement := range []string{"CREATE TABLE backup AS SELECT * FROM things", "DROP TABLE things"} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	r := w.start("two", nil)
	r.waits(t, "stream s: table things: it is not there, though records of p.s.processed were written to it")
	w.produce(300)
	if _, err := db.Exec("SELECT 1 FROM things"); err == nil {
		t.Error("the table was made")
	}
	for _, statement := range []string{"CREATE TABLE things (id TEXT PRIMARY KEY, n INT, _mr_version BLOB)", "INSERT INTO things SELECT * FROM backup"} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	w.caughtUp(db, 2*time.Minute)
	r.ready(t)
	if _, err := db.Exec("ALTER TABLE things RENAME TO away"); err != nil {
		t.Fatal(err)
	}
	r.waits(t, "stream s: table things: it is not there")
	w.produce(300)
	if _, err := db.Exec("ALTER TABLE away RENAME TO things"); err != nil {
		t.Fatal(err)
	}
	w.caughtUp(db, 2*time.Minute)
	r.ready(t)
}

// TestEmptiedLogIsNoGap: retention has deleted what was written, up to and with the processor's control records.
func TestEmptiedLogIsNoGap(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	w.produce(300)
	w.start("one", nil).drainAfter(t, w)
	ends, err := w.adm.ListEndOffsets(t.Context(), topics.Processed("p", "s"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.adm.DeleteRecords(t.Context(), ends.Offsets()); err != nil {
		t.Fatal(err)
	}
	w.start("two", nil)
	w.produce(300)
	w.caughtUp(w.db(), 2*time.Minute)
}

// TestDrainWithoutDatabase: the sink says that it waits, and drains at once all the same.
func TestDrainWithoutDatabase(t *testing.T) {
	p := &pipeline.Pipeline{Database: pipeline.Database{MySQL: "app:secret@tcp(127.0.0.1:1)/nowhere"}}
	w := newWorld(t, p)
	r := w.start("one", func(c *Config) { c.Drain = 10 * time.Minute }) // longer than the test waits
	testkit.Eventually(t, 2*time.Minute, func() error {
		if r.health.Waiting()["sink"] == "" {
			return errors.New("the sink does not say that it waits")
		}
		return nil
	})
	r.drain(t, 2*time.Minute)
}

// TestSilentDatabaseIsWaitedFor: a database that takes connections and says nothing may be a slow one, so the batch
// is cut; but it is named at once.
func TestSilentDatabaseIsWaitedFor(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	p := &pipeline.Pipeline{Name: "p", Database: pipeline.Database{MySQL: pipeline.Secret("app:secret@tcp(" + silent.Addr().String() + ")/nowhere")}}
	health := &stage.Health{}
	s, err := New(p, DefaultConfig(), stage.Env{Metrics: prometheus.NewRegistry(), Health: health, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.open(); err != nil {
		t.Fatal(err)
	}
	defer s.store.close()
	c := &claim{}
	j := newJob(nil, "p")
	j.fill(&polled{c, 0, []*kgo.Record{{Offset: 0}, {Offset: 1}}}, 2, s.cfg)
	j.batch = &batch{moves: []move{{claim: c, next: 2}}}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if rest, _ := s.write(ctx, newWriter(s.store), rows.NewDecoder(), j); len(rest) != 2 {
		t.Errorf("%d jobs are left, want 2", len(rest))
	}
	if why := health.Waiting()["sink"]; !strings.HasPrefix(why, "MySQL") {
		t.Errorf("waiting for %q, want MySQL", why)
	}
}
