package sink

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// filling has every sink of w fill its table in key order, with so little memory that it sorts in many runs.
func (w *world) filling() (dir string) {
	dir = w.t.TempDir()
	w.prepare = func(s *Sink) { s.sorts = sorts{always: true, memory: 16 << 10, dir: dir} }
	return dir
}

// says waits until the log of r has a text.
func (r *running) says(t *testing.T, text string) {
	t.Helper()
	testkit.Eventually(t, 2*time.Minute, func() error {
		if !strings.Contains(r.log.String(), text) {
			return fmt.Errorf("the log does not say %q", text)
		}
		return nil
	})
}

// TestFill: a sink fills its table in key order, goes on in the order of the topic, and does not fill again.
func TestFill(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	dir := w.filling()
	for range 4 {
		w.produce(1500)
	}
	r := w.start("one", func(c *Config) { c.MaxRecords = 100 })
	r.says(t, `msg="filled in key order"`)
	db := w.db()
	w.caughtUp(db, 2*time.Minute)
	w.produce(1000)
	w.caughtUp(db, 2*time.Minute)
	if n := len(w.letters()); n != w.refused {
		t.Errorf("%d letters, want %d", n, w.refused)
	}
	if n := strings.Count(r.log.String(), `msg="filled in key order"`); n != 1 {
		t.Errorf("filled %d times", n)
	}
	if is := r.health.Degraded()["sink s, fill"]; is != "" {
		t.Errorf("degraded: %s", is)
	}
	r.drain(t, 2*time.Minute)
	w.produce(1000)
	r = w.start("two", nil)
	w.caughtUp(db, 2*time.Minute)
	if strings.Contains(r.log.String(), "filled in key order") {
		t.Error("a table that is filled was filled again")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("temporary files: %v, %v", left, err)
	}
}

// TestFillsThatAreTakenOver: sinks come and go while they fill, and lose partitions to each other. Each row is there
// once, as its newest record has it, and each refused record has its letter.
func TestFillsThatAreTakenOver(t *testing.T) { fillsTakenOver(t, newWorld(t, onSQLite(t))) }

func fillsTakenOver(t *testing.T, w *world) {
	w.filling()
	for range 4 {
		w.produce(1000)
	}
	small := func(c *Config) { c.MaxRecords, c.StatementRows = 20, 20 } // many batches
	sinks := []*running{w.start("0", small)}
	sinks[0].says(t, "filling in key order")
	for i := range 6 {
		if i%3 == 2 {
			sinks[0].drain(t, 2*time.Minute)
			sinks = sinks[1:]
		} else {
			sinks = append(sinks, w.start(fmt.Sprint(i+1), small))
		}
		w.produce(300)
	}
	w.caughtUp(w.db(), 120*time.Second)
	if letters := w.letters(); len(letters) != w.refused {
		t.Errorf("%d letters, want %d", len(letters), w.refused)
	}
}

// TestFillWithoutPlace: where there is no place for the file, rows are written in the order of the topic, and it is
// told why.
func TestFillWithoutPlace(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	missing := filepath.Join(t.TempDir(), "none")
	w.prepare = func(s *Sink) { s.sorts = sorts{always: true, memory: 16 << 10, dir: missing} }
	for range 4 {
		w.produce(1000)
	}
	r := w.start("one", nil)
	w.caughtUp(w.db(), 2*time.Minute)
	r.says(t, "The temporary directory (TMPDIR) must have room")
	w.produce(500)
	w.caughtUp(w.db(), 2*time.Minute)
}

// sized is a database with a memory for pages.
type sized struct {
	dialect.Dialect

	rows, memory int64
	table        string // that was asked for last
}

func (d *sized) Size(_ context.Context, _ *sql.DB, table string) (rows, memory int64, err error) {
	d.table = table
	return d.rows, d.memory, nil
}

// TestFillsOnlyWhatIsBuiltAndLarge: only the table of a line that is being built is filled in key order, if the one
// that is read exceeds the memory for pages; never that of a pipeline's base line.
func TestFillsOnlyWhatIsBuiltAndLarge(t *testing.T) {
	w := newWorld(t, onSQLite(t))
	env := stage.Env{
		Kafka: []kgo.Opt{kgo.SeedBrokers(w.seeds...)}, Metrics: prometheus.NewRegistry(), Health: &stage.Health{}, Log: slog.New(slog.DiscardHandler),
	}
	line := topics.LineOf(w.pipeline, &w.pipeline.Streams[0], 2, "things__g2")
	may := func(p *pipeline.Pipeline, rows int64) bool {
		t.Helper()
		env.Metrics = prometheus.NewRegistry()
		s, err := New(p, DefaultConfig(), env)
		if err != nil {
			t.Fatal(err)
		}
		d := &sized{Dialect: s.store.dialect, rows: rows, memory: 1000}
		s.store.dialect = d
		yes := s.mayFill(t.Context(), s.tables.of(topics.Processed(p.Name, "s")))
		if d.table != "" && d.table != "things" {
			t.Errorf("asked for the size of %s", d.table)
		}
		return yes
	}
	is := func(l control.Line) {
		t.Helper()
		_, err := control.Change(t.Context(), control.Config{Pipeline: "p", Who: "test", Client: env.Kafka}, "s", func(s *control.Stream) error {
			l.Number = 2
			s.Lines = []control.Line{l}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if may(line, 1001) || may(w.pipeline, 1001) {
		t.Error("what nothing is decided about")
	}
	is(control.Line{State: control.LineBuilding})
	if !may(line, 1001) {
		t.Error("a large table is not filled in key order")
	}
	if may(line, 1000) || may(w.pipeline, 1001) {
		t.Error("a small table, or that of the base line")
	}
	for _, l := range []control.Line{
		{State: control.LineBuilding, BuiltAt: time.Now()}, {State: control.LineLive, BuiltAt: time.Now()}, {State: control.LineOld}, {State: control.LineDropping},
	} {
		if is(l); may(line, 1001) {
			t.Errorf("a line that is %s, built at %s", l.State, l.BuiltAt)
		}
	}
}
