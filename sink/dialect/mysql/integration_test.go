//go:build integration

package mysql

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testservers"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

func TestMain(m *testing.M) { testservers.Main(m) }

// TestWithoutRowAlias upserts rows and marks as servers before 8.0.19 need it, and as others do: a higher version wins.
func TestWithoutRowAlias(t *testing.T) {
	for name, values := range map[string]bool{"VALUES()": true, "row alias": false} {
		t.Run(name, func(t *testing.T) {
			m, err := New(pipeline.Secret(testservers.MySQL(t)))
			if err != nil {
				t.Fatal(err)
			}
			db, err := m.Open(time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			m.values = values
			table := rows.NewTable(&pipeline.Stream{Sink: pipeline.Sink{Table: "things", Columns: []pipeline.ColumnType{
				{Name: "id", Type: "varchar(9)", Key: true}, {Name: "n", Type: "int"},
			}}})
			exec := func(statement string) {
				t.Helper()
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			for _, statement := range append(m.CreateOwn(), m.CreateTable(table)) {
				exec(statement)
			}
			u := m.Upsert(table)
			for _, r := range []struct {
				raw   int64
				value string
			}{{5, `{"id":"a","n":5}`}, {4, `{"id":"a","n":4}`}, {6, `{"id":"b","n":6}`}, {7, `{"id":"b","n":7}`}} {
				v := topics.NewVersion(0, 0, r.raw, 1)
				var x rows.Change
				rows.NewDecoder().Decode(&x, table, &kgo.Record{Value: []byte(r.value), Headers: []kgo.RecordHeader{{Key: topics.HeaderVersion, Value: v[:]}}})
				if x.Reason != nil {
					t.Fatal(x.Reason)
				}
				exec(u.Insert + string(dialect.AppendRow(nil, m, &x)) + u.Merge)
			}
			for _, version := range []string{"X'02'", "X'01'", "X'03'"} {
				exec("INSERT INTO millrace_marks (stream, generation, raw_key, version, marked_at) VALUES ('s',1,X'00'," +
					version + "," + m.Statements().Now + ")" + m.Statements().MergeMarks)
			}
			var got string
			if err := db.QueryRowContext(t.Context(), `SELECT CONCAT((SELECT GROUP_CONCAT(id, n ORDER BY id) FROM things), ' ',
				(SELECT GROUP_CONCAT(HEX(version)) FROM millrace_marks))`).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if want := "a5,b7 03"; got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}
