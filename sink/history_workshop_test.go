package sink

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

const (
	historyTable = "things" // that is read
	historyLines = 4        // that a history has at most, those included that are dropped
)

// workshop is a database in which histories happen, one after the other.
type workshop struct {
	t         *testing.T
	pipeline  *pipeline.Pipeline // of the file
	versioned bool
	places    map[uint16]*place
	dirty     bool           // there may be other tables than the one of the base line
	seen      map[string]int // what has happened, how often
}

// place is what a line's sink has, whatever its table is called.
type place struct {
	pipeline *pipeline.Pipeline
	store    *store
	writer   *writer
	topic    string // processed
	aside    string // name of its table while it is not live
	tables   map[string]*rows.Table
}

func newWorkshop(t *testing.T, versioned bool) *workshop {
	t.Helper()
	p := &pipeline.Pipeline{Database: pipeline.Database{Embedded: true}, DataDir: t.TempDir()}
	f := newFixture(t, p, versioned)
	f.store.cfg.LoadRows = 0
	w := &workshop{t: t, pipeline: p, versioned: versioned, places: map[uint16]*place{}, seen: map[string]int{}}
	p.Streams = []pipeline.Stream{*w.stream(1)}
	w.of(1)
	var hours []string
	for range int(f.store.cfg.MarkRetention.Hours()) + 2 {
		hours = append(hours, fmt.Sprintf("('hours', '2001-02-%02d %02d:00:00')", 1+len(hours)/24, len(hours)%24))
	}
	w.exec("INSERT INTO millrace_caught_up (topic, hour) VALUES " + strings.Join(hours, ", "))
	return w
}

// stream is the stream by the logic of a line: those that are built have another column.
func (w *workshop) stream(number uint16) *pipeline.Stream {
	s := &pipeline.Stream{Name: "s", Sink: things("json")}
	if number > 1 {
		s.Sink.Columns = append(s.Sink.Columns[:4:4], pipeline.ColumnType{Name: "more", Type: "smallint"})
	}
	if w.versioned {
		s.Ingest.Version = "v"
	}
	return s
}

// of is the place of a line.
func (w *workshop) of(number uint16) *place {
	w.t.Helper()
	if x := w.places[number]; x != nil {
		return x
	}
	x := &place{pipeline: w.pipeline, aside: fmt.Sprintf("%s__g%d", historyTable, number), tables: map[string]*rows.Table{}}
	if number > 1 {
		x.pipeline = topics.LineOf(w.pipeline, w.stream(number), number, x.aside)
	}
	x.topic = topics.Processed(x.pipeline.Name, "s")
	d, err := newDialect(w.pipeline)
	if err != nil {
		w.t.Fatal(err)
	}
	x.store = &store{dialect: d, cfg: DefaultConfig(), owner: "test", pipeline: x.pipeline.Name, streams: map[string]bool{"s": true}}
	x.store.cfg.LoadRows = 0
	if err := x.store.open(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(x.store.close)
	if err := x.store.prepare(w.t.Context(), nil); err != nil {
		w.t.Fatal(err)
	}
	x.writer = newWriter(x.store)
	w.t.Cleanup(x.writer.disconnect)
	w.places[number] = x
	return x
}

// as is the line's pipeline, with its table under a name.
func (x *place) as(name string) *pipeline.Pipeline {
	out, s := *x.pipeline, x.pipeline.Streams[0]
	s.Sink.As = name
	out.Streams = []pipeline.Stream{s}
	return &out
}

// named is the line's table under a name.
func (x *place) named(name string) *rows.Table {
	t := x.tables[name]
	if t == nil {
		t = (&Sink{pipeline: x.pipeline}).tableOf(&x.as(name).Streams[0])
		x.tables[name], x.store.upserts[t] = t, x.store.dialect.Upsert(t)
	}
	return t
}

func (x *place) admin(name string) *Admin { return &Admin{x.store, x.as(name)} }

func (w *workshop) db() *store { return w.places[1].store }

func (w *workshop) exec(statements ...string) {
	w.t.Helper()
	for _, statement := range statements {
		if _, err := w.db().db.Exec(statement); err != nil {
			w.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// clean leaves the table of the base line, and nothing in it.
func (w *workshop) clean() {
	w.t.Helper()
	w.exec("DELETE FROM millrace_marks", "DELETE FROM millrace_offsets", "DELETE FROM millrace_owners", "DELETE FROM millrace_tables",
		"DELETE FROM millrace_swaps", "DELETE FROM millrace_caught_up WHERE topic <> 'hours'")
	if w.dirty {
		w.exec("DROP TABLE IF EXISTS " + dialect.Quote(historyTable))
		for _, x := range w.places {
			w.exec("DROP TABLE IF EXISTS " + dialect.Quote(x.aside))
		}
		w.exec(w.db().dialect.CreateTable(w.places[1].named(historyTable)))
	} else {
		w.exec("DELETE FROM " + historyTable)
	}
	w.dirty = false
	for _, x := range w.places {
		clear(x.writer.plenty)
		clear(x.writer.kept)
	}
}

// rows is a table as it is read.
func (w *workshop) rows(table string) map[string]string {
	w.t.Helper()
	out, err := dialect.Pairs(context.Background(), w.db().db, "SELECT id, n || ' of ' || note FROM "+dialect.Quote(table))
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}
