package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

// fixture is a database with one table, a claim on one partition, and a writer.
type fixture struct {
	t        *testing.T
	pipeline *pipeline.Pipeline
	store    *store
	table    *rows.Table
	claim    *claim
	writer   *writer
	offset   int64  // of the next processed record
	epoch    uint16 // of the raw topic
}

const topic = "p.s.processed"

var noLog = bounds{topicID: [16]byte{1}, start: 0, end: 1 << 40}

// things is the table, with one column's type open.
func things(extra string) pipeline.Sink {
	return pipeline.Sink{Table: "things", Columns: []pipeline.ColumnType{
		{Name: "id", Type: "varchar(20)", Key: true, NotNull: true},
		{Name: "n", Type: "smallint"},
		{Name: "price", Type: "decimal(20,4)"},
		{Name: "note", Type: "varchar(10)"},
		{Name: "at", Type: "datetime(3)"},
		{Name: "extra", Type: extra},
		{Name: "on_sale", Type: "boolean"},
	}}
}

func newFixture(t *testing.T, p *pipeline.Pipeline, versioned bool) *fixture {
	t.Helper()
	p.Name = "p"
	s := pipeline.Stream{Name: "s", Sink: things("json")}
	if len(p.Streams) > 0 {
		s = p.Streams[0]
	}
	if versioned {
		s.Ingest.Version = "v"
	}
	d, err := newDialect(p)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, pipeline: p, table: rows.NewTable(&s), store: &store{dialect: d, cfg: DefaultConfig(), owner: "test", pipeline: "p"}}
	if err := f.store.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.store.close)
	if err := f.store.prepare(t.Context(), map[string]*rows.Table{topic: f.table}); err != nil {
		t.Fatal(err)
	}
	if err := f.store.prepareTable(t.Context(), topic, f.table); err != nil {
		t.Fatal(err)
	}
	f.store.cfg.LoadRows = 1
	f.writer = newWriter(f.store)
	t.Cleanup(f.writer.disconnect)
	f.claim = f.newClaim()
	return f
}

// claim claims one partition.
func (s *store) claimOne(ctx context.Context, c *claim, b bounds, connection uint64) error {
	one := &bid{claim: c, bounds: b, connection: connection}
	if err := s.claim(ctx, []*bid{one}); err != nil || one.lost == nil {
		return err
	}
	return one.lost
}

// newClaim takes the partition over.
func (f *fixture) newClaim() *claim {
	f.t.Helper()
	if err := f.writer.connect(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	c := &claim{topic: topic, table: f.table}
	if err := f.store.claimOne(f.t.Context(), c, noLog, f.writer.session.ID); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// event is a processed record in short: raw offset, source version, key, and the other columns, nil for no rows.
type event struct {
	raw    int64
	source int64
	key    string
	row    map[string]any
}

func row(n int) map[string]any { return map[string]any{"n": n} }

func (f *fixture) job(events ...event) *job {
	j := &job{}
	var records []*kgo.Record
	for _, e := range events {
		v := topics.NewVersion(e.source, f.epoch, e.raw, 1)
		r := &kgo.Record{
			Topic: topic, Offset: f.offset, Key: []byte(e.key),
			Headers: []kgo.RecordHeader{{Key: topics.HeaderVersion, Value: v[:]}},
		}
		f.offset++
		if e.row == nil {
			pk, _ := json.Marshal([]string{e.key})
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: topics.HeaderPK, Value: pk})
		} else {
			columns := maps.Clone(e.row)
			columns["id"] = e.key
			r.Value, _ = json.Marshal(columns)
		}
		records = append(records, r)
	}
	j.polled, j.records = []polled{{f.claim, f.claim.next, records}}, len(records)
	return j
}

// apply applies one batch, as the sink does, and returns what the letters would be.
func (f *fixture) apply(events ...event) (refused []string) {
	f.t.Helper()
	b := newBatch(rows.NewDecoder(), f.job(events...))
	f.applied(b)
	b.moves[0].committed()
	for x := range b.refused() {
		refused = append(refused, string(x.Record.Key)+": "+x.Reason.Error())
	}
	return refused
}

// applied applies a batch without what the database refuses of it.
func (f *fixture) applied(b *batch) {
	f.t.Helper()
	for range 100 {
		_, err := f.writer.apply(f.t.Context(), b)
		if _, ok := errors.AsType[*dialect.RefusedError](err); ok {
			if _, err := f.writer.isolate(f.t.Context(), b); err != nil {
				f.t.Fatal(err)
			}
			continue
		}
		if err != nil {
			f.t.Fatal(err)
		}
		return
	}
	f.t.Fatal("still refused after 100 attempts")
}

// rows reads one column of the table by key.
func (f *fixture) column(column string) map[string]string {
	f.t.Helper()
	found, err := f.store.db.QueryContext(f.t.Context(), "SELECT id, COALESCE("+column+", 'null') FROM things")
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	out := map[string]string{}
	for found.Next() {
		var id, value string
		if err := found.Scan(&id, &value); err != nil {
			f.t.Fatal(err)
		}
		out[id] = value
	}
	return out
}

func (f *fixture) want(want map[string]string) {
	f.t.Helper()
	if d := cmp.Diff(want, f.column("n")); d != "" {
		f.t.Errorf("rows (-want +got):\n%s", d)
	}
}

func (f *fixture) marks() (n int) {
	f.t.Helper()
	if err := f.store.db.QueryRow("SELECT COUNT(*) FROM millrace_marks").Scan(&n); err != nil {
		f.t.Fatal(err)
	}
	return n
}

// suite is what every database must do. open gives an empty database.
func suite(t *testing.T, open func(t *testing.T) *pipeline.Pipeline) {
	plain := func(t *testing.T) *fixture { return newFixture(t, open(t), false) }
	versioned := func(t *testing.T) *fixture { return newFixture(t, open(t), true) }

	t.Run("TestApplyTwiceIsOnce", func(t *testing.T) {
		f := plain(t)
		events := []event{{0, 0, "a", row(1)}, {1, 0, "b", row(1)}, {2, 0, "a", row(2)}}
		f.apply(events...)
		f.apply(events...)
		f.want(map[string]string{"a": "2", "b": "1"})
	})
	t.Run("OlderNeverWins", func(t *testing.T) {
		f := plain(t)
		f.apply(event{5, 0, "a", row(5)})
		f.apply(event{4, 0, "a", row(4)})
		f.want(map[string]string{"a": "5"})
		f.apply(event{6, 0, "a", row(6)}, event{3, 0, "a", row(3)})
		f.want(map[string]string{"a": "6"})
	})
	t.Run("SourceVersionDecidesFirst", func(t *testing.T) {
		f := versioned(t)
		f.apply(event{0, 9, "a", row(9)})
		f.apply(event{1, 8, "a", row(8)})
		f.want(map[string]string{"a": "9"})
		f.apply(event{2, 7, "b", row(7)}, event{3, 6, "b", row(6)})
		f.want(map[string]string{"a": "9", "b": "7"})
	})
	t.Run("DeletedStaysDeleted", func(t *testing.T) {
		f := plain(t)
		f.apply(event{0, 0, "a", row(0)}, event{1, 0, "b", row(1)})
		f.apply(event{2, 0, "a", nil})
		f.want(map[string]string{"b": "1"})
		f.apply(event{0, 0, "a", row(0)})
		f.want(map[string]string{"b": "1"})
		f.apply(event{3, 0, "a", row(3)})
		f.want(map[string]string{"a": "3", "b": "1"})
		f.apply(event{2, 0, "a", nil}) // an old removal again
		f.want(map[string]string{"a": "3", "b": "1"})
	})
	t.Run("DeletedInItsFirstBatchStaysDeleted", func(t *testing.T) {
		f := plain(t)
		f.apply(event{0, 0, "a", row(0)}, event{1, 0, "a", nil})
		f.apply(event{0, 0, "a", row(0)})
		f.want(map[string]string{})
	})
	t.Run("VersionedRemovalBeforeItsOlderRecord", func(t *testing.T) {
		f := versioned(t)
		f.apply(event{0, 9, "a", nil})
		f.apply(event{1, 8, "a", row(8)})
		f.want(map[string]string{})
		f.apply(event{2, 10, "a", row(10)})
		f.want(map[string]string{"a": "10"})
	})
	t.Run("AFilteredRecordWithoutRowCostsNoMark", func(t *testing.T) {
		f := plain(t)
		f.apply(event{0, 0, "a", nil}, event{1, 0, "b", nil})
		if n := f.marks(); n != 0 {
			t.Errorf("%d marks, want none", n)
		}
	})
	t.Run("RefusedRowsAreFoundAndTheRestGoesIn", func(t *testing.T) {
		f := plain(t)
		long := map[string]any{"n": 1, "note": strings.Repeat("x", 11), "price": 1}
		if f.store.dialect.Name() == "SQLite" { // which holds any length; it refuses what our conversion refuses
			long["price"] = "dear"
		}
		var events []event
		for i := range 50 {
			events = append(events, event{int64(i), 0, fmt.Sprint(i), row(i)})
		}
		events[7].row, events[31].row = long, long
		events = append(events, event{50, 0, "3", long}) // newer and refused: the key keeps what it had
		refused := f.apply(events...)
		var keys []string
		for _, r := range refused {
			key, _, _ := strings.Cut(r, ":")
			keys = append(keys, key)
		}
		slices.Sort(keys)
		if !slices.Equal(keys, []string{"3", "31", "7"}) {
			t.Errorf("refused %q", refused)
		}
		got := f.column("n")
		if len(got) != 48 || got["3"] != "3" || got["7"] != "" {
			t.Errorf("%d rows; 3 is %q, 7 is %q", len(got), got["3"], got["7"])
		}
	})
	t.Run("ALetterSentAgainBringsNoRowBack", func(t *testing.T) {
		f := plain(t)
		bad := event{0, 0, "a", map[string]any{"n": "many"}}
		if refused := f.apply(bad); len(refused) != 1 {
			t.Fatalf("refused %q", refused)
		}
		f.apply(event{1, 0, "a", nil})
		bad.row = row(1) // corrected
		f.apply(bad)
		f.want(map[string]string{})
		f.apply(event{2, 0, "b", map[string]any{"n": "many"}})
		f.apply(event{2, 0, "b", row(2)}) // a corrected letter whose key was keeps no mark goes in
		f.want(map[string]string{"b": "2"})
	})
	t.Run("AnotherOwnerFences", func(t *testing.T) {
		f := plain(t)
		f.apply(event{0, 0, "a", row(0)})
		old := *f
		f.claim = f.newClaim()
		if f.claim.next != 1 {
			t.Errorf("the new owner continues at %d, want 1", f.claim.next)
		}
		b := newBatch(rows.NewDecoder(), (&old).job(event{1, 0, "a", row(666)}))
		_, err := f.writer.apply(t.Context(), b)
		if _, ok := errors.AsType[*FencedError](err); !ok {
			t.Fatalf("%v, want a FencedError", err)
		}
		f.want(map[string]string{"a": "0"})
		f.apply(event{1, 0, "a", row(1)})
		f.want(map[string]string{"a": "1"})
	})
	t.Run("ManyPartitionsMoveTogether", func(t *testing.T) { manyPartitions(t, open(t)) })
	t.Run("ManyPartitionsAreClaimedTogether", func(t *testing.T) { manyClaims(t, open(t)) })
	t.Run("AnotherOffsetFences", func(t *testing.T) {
		f := plain(t)
		f.apply(event{0, 0, "a", row(0)})
		f.claim.next = 0 // where this batch is thought to begin
		b := newBatch(rows.NewDecoder(), f.job(event{9, 0, "a", row(9)}))
		var fenced *FencedError
		if _, err := f.writer.apply(t.Context(), b); !errors.As(err, &fenced) {
			t.Fatalf("%v, want a FencedError", err)
		}
		f.want(map[string]string{"a": "0"})
	})
	t.Run("CommittedTellsWhatHappened", func(t *testing.T) {
		f := plain(t)
		b := newBatch(rows.NewDecoder(), f.job(event{0, 0, "a", row(0)}))
		if happened, err := f.writer.committed(t.Context(), b); err != nil || happened {
			t.Errorf("before: %v, %v", happened, err)
		}
		if _, err := f.writer.apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if happened, err := f.writer.committed(t.Context(), b); err != nil || !happened {
			t.Errorf("after: %v, %v", happened, err)
		}
	})
	t.Run("PositionMustBeInTheLog", func(t *testing.T) {
		f := plain(t)
		f.apply(event{0, 0, "a", row(0)}, event{1, 0, "a", row(1)})
		for name, p := range map[string]bounds{
			"millrace recover FILE s":              {topicID: noLog.topicID, start: 3, end: 9},
			"millrace recover FILE s --kafka-lost": {topicID: noLog.topicID, start: 0, end: 1},
		} {
			err := f.store.claimOne(t.Context(), &claim{topic: topic, table: f.table}, p, f.writer.session.ID)
			if lost, ok := errors.AsType[*PositionError](err); !ok || lost.Remedy != name {
				t.Errorf("%v, want a PositionError that says %s", err, name)
			}
		}
	})
	t.Run("MarksArePruned", func(t *testing.T) {
		f := versioned(t)
		f.apply(event{0, 1, "a", nil})
		f.store.cfg.MarkRetention = 2 * time.Hour
		exec := func(statement string, args ...any) {
			t.Helper()
			if _, err := f.store.db.Exec(statement, args...); err != nil {
				t.Fatal(err)
			}
		}
		prune := func(want int64, when string) {
			t.Helper()
			if n, err := f.store.prune(t.Context(), topic, f.table); err != nil || n != want {
				t.Errorf("pruned %d marks, %v; want %d %s", n, err, want, when)
			}
		}
		prune(0, "of a young mark")
		exec("UPDATE millrace_marks SET marked_at = '2001-01-01 00:30:00'")
		prune(0, "while nothing had caught up since, however long that is")
		for _, hour := range []string{"2001-01-01 00:00:00", "2001-01-01 01:00:00"} {
			exec("INSERT INTO millrace_caught_up (topic, hour) VALUES (?, ?)", topic, hour)
		}
		exec(f.store.statements.CaughtUp, topic)
		exec(f.store.statements.CaughtUp, topic) // the same hour
		prune(0, "until it was caught up for two hours after the mark")
		exec("INSERT INTO millrace_caught_up (topic, hour) VALUES (?, ?)", topic, "2001-01-02 00:00:00")
		prune(1, "then")
		if f.marks() != 0 {
			t.Errorf("%d marks are left", f.marks())
		}
	})
	t.Run("MoreMarksThanKeys", func(t *testing.T) {
		f := versioned(t)
		var removed []event
		for i := range int64(50) {
			removed = append(removed, event{i, 9, fmt.Sprint(i), nil})
		}
		f.apply(removed...)
		for range 2 { // the second time it knows that they are many
			f.apply(event{50, 8, "7", row(8)}, event{51, 8, "new", row(8)})
			f.want(map[string]string{"new": "8"})
		}
		f.apply(event{52, 10, "7", row(10)})
		f.want(map[string]string{"new": "8", "7": "10"})
	})
	t.Run("Owners", func(t *testing.T) { owners(t, open) })
	t.Run("Admin", func(t *testing.T) { admins(t, open) })
	t.Run("Witnesses", func(t *testing.T) { witnesses(t, open) })
	t.Run("Compare", func(t *testing.T) { comparisons(t, open) })
	t.Run("Swaps", func(t *testing.T) { swaps(t, open) })
	t.Run("Differences", func(t *testing.T) { differences(t, open) })
	t.Run("TableIsWhatItMeans", func(t *testing.T) { testModel(t, open, false) })
	t.Run("TableIsWhatItMeansWithVersions", func(t *testing.T) { testModel(t, open, true) })
	t.Run("AFillIsTheSame", func(t *testing.T) { fills(t, open, false) })
	t.Run("AFillIsTheSameWithVersions", func(t *testing.T) { fills(t, open, true) })
	t.Run("AFillKeepsTheOrderOfAKey", func(t *testing.T) { fillsKeepOrder(t, open) })
	t.Run("AFillIsFenced", func(t *testing.T) { fillsFenced(t, open) })
	t.Run("AFillDoesNotTakeItsPositionForACommit", func(t *testing.T) { fillsUnanswered(t, open) })
	t.Run("KeysDifferInCase", func(t *testing.T) {
		f := plain(t)
		f.apply(event{0, 0, "aB", row(1)}, event{1, 0, "Ab", row(2)}, event{2, 0, "ab ", row(3)}, event{3, 0, "ab", row(4)})
		f.want(map[string]string{"aB": "1", "Ab": "2", "ab ": "3", "ab": "4"})
	})
	t.Run("ValuesSurvive", func(t *testing.T) {
		f := plain(t)
		odd := "q'\"\\\x00%\n\tü"
		f.apply(event{0, 0, "k'\\\"é", map[string]any{
			"n": 12.0, "price": json.Number("1234567890123456.7891"), "note": odd,
			"at": "2024-02-29T23:59:59.5+01:00", "extra": map[string]any{"a": []any{1, "x'\\"}}, "on_sale": true,
		}})
		for column, want := range map[string]string{
			"n": "12", "note": odd, "on_sale": "1", "price": "1234567890123456.7891", "CAST(at AS CHAR)": "2024-02-29 22:59:59.500",
		} {
			if got := f.column(column)["k'\\\"é"]; got != want {
				t.Errorf("%s = %q, want %q", column, got, want)
			}
		}
	})
}

func TestSQLite(t *testing.T) {
	suite(t, func(t *testing.T) *pipeline.Pipeline {
		return &pipeline.Pipeline{DataDir: t.TempDir(), Database: pipeline.Database{Embedded: true}}
	})
}

func TestTableThatDoesNotFit(t *testing.T) {
	p := &pipeline.Pipeline{DataDir: t.TempDir(), Database: pipeline.Database{Embedded: true}}
	f := newFixture(t, p, false)
	for _, statement := range []string{"DROP TABLE things", "CREATE TABLE things (id varchar(20), n smallint PRIMARY KEY)"} {
		if _, err := f.store.db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	err := f.store.prepareTable(context.Background(), topic, f.table)
	if _, ok := errors.AsType[*TableError](err); !ok {
		t.Fatalf("%v, want a TableError", err)
	}
	for _, want := range []string{"no column note", "no column _mr_version", "primary key is not (`id`): SQLite cannot change it"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}
