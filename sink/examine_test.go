package sink

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
)

// examines looks at a database in which one table is missing, two fit, and one lacks a column.
func examines(t *testing.T, p *pipeline.Pipeline) []dialect.Finding {
	t.Helper()
	columns := []pipeline.ColumnType{{Name: "id", Type: "bigint", Key: true, NotNull: true}, {Name: "name", Type: "varchar(20)"}}
	for _, name := range []string{"missing", "fits", "lacks", "Upper"} {
		p.Streams = append(p.Streams, pipeline.Stream{Name: name, Sink: pipeline.Sink{Table: name, Columns: columns}})
	}
	a, err := OpenAdmin(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	_, tables := DDL(p)
	for _, ddl := range []string{tables[1], strings.Replace(tables[2], "name", "other", 1), tables[3]} {
		if _, err := a.store.db.ExecContext(t.Context(), ddl); err != nil {
			t.Fatal(err)
		}
	}
	found, err := a.Examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func finding(t *testing.T, found []dialect.Finding, what string) dialect.Finding {
	t.Helper()
	i := slices.IndexFunc(found, func(f dialect.Finding) bool { return f.What == what })
	if i < 0 {
		t.Fatalf("nothing of %s: %+v", what, found)
	}
	return found[i]
}

func tablesOf(t *testing.T, found []dialect.Finding) {
	t.Helper()
	if f := finding(t, found, "table missing"); f.Problem != "" || !strings.Contains(f.Is, "not there") {
		t.Errorf("%+v", f)
	}
	for _, name := range []string{"fits", "Upper"} {
		if f := finding(t, found, "table "+name); f.Problem != "" || f.Is != "fits" {
			t.Errorf("%+v", f)
		}
	}
	if f := finding(t, found, "table lacks"); !strings.Contains(f.Problem, "no column name") || f.Fix == "" {
		t.Errorf("%+v", f)
	}
}

func TestExamine(t *testing.T) {
	tablesOf(t, examines(t, &pipeline.Pipeline{Database: pipeline.Database{Embedded: true}, DataDir: t.TempDir()}))
}
