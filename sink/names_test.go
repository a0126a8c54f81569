package sink

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
)

// namesCollide: a table and columns may have any name, those included that a statement of ours could use itself.
func namesCollide(t *testing.T, open func(*testing.T) *pipeline.Pipeline) {
	for _, name := range []string{"n", "new", "excluded", "values", "VERSION", "temporary"} {
		p := open(t)
		p.Streams = []pipeline.Stream{{Name: "s", Sink: pipeline.Sink{
			Table: name, Columns: []pipeline.ColumnType{
				{Name: "id", Type: "varchar(20)", Key: true, NotNull: true}, {Name: "n", Type: "int"}, {Name: "excluded", Type: "int"}, {Name: name + "_x", Type: "int"},
			},
		}}}
		f := newFixture(t, p, false)
		f.apply(event{0, 0, "a", row(1)}, event{1, 0, "b", row(1)}, event{2, 0, "c", row(1)})
		f.apply(event{3, 0, "a", row(2)}, event{4, 0, "c", nil})
		f.apply(event{2, 0, "a", row(3)}) // an older one
		var got string
		if err := f.store.db.QueryRow(fmt.Sprintf("SELECT GROUP_CONCAT(n) FROM (SELECT n FROM %s ORDER BY id) AS x", dialect.Quote(name))).Scan(&got); err != nil || got != "2,1" {
			t.Errorf("table %s: n = %q, %v; want 2,1", name, got, err)
		}
	}
}

// TestSQLiteKeepsDigits: what MySQL keeps exactly is no double in SQLite either.
func TestSQLiteKeepsDigits(t *testing.T) {
	p := onSQLite(t)
	p.Streams = []pipeline.Stream{{Name: "s", Sink: pipeline.Sink{
		Table: "things", Columns: []pipeline.ColumnType{
			{Name: "id", Type: "varchar(20)", Key: true, NotNull: true}, {Name: "price", Type: "decimal(30,10)"}, {Name: "hash", Type: "bigint unsigned"},
			{Name: "at", Type: "datetime(3)"}, {Name: "x", Type: "double"},
		},
	}}}
	f := newFixture(t, p, false)
	f.apply(event{0, 0, "a", map[string]any{
		"price": json.Number("12345678901234567890.1234567891"), "hash": json.Number("18446744073709551615"), "at": "2024-02-29T12:00:00.600Z", "x": 12,
	}}, event{1, 0, "b", map[string]any{"price": json.Number("0.1"), "hash": 7}})
	for column, want := range map[string]string{
		"price": "12345678901234567890.1234567891", "hash": "18446744073709551615", "CAST(at AS TEXT)": "2024-02-29 12:00:00.600", "typeof(x)": "real",
	} {
		if got := f.column(column)["a"]; got != want {
			t.Errorf("%s = %s, want %s", column, got, want)
		}
	}
	if got := f.column("price || ' ' || hash || ' ' || typeof(hash)")["b"]; got != "0.1000000000 7 integer" {
		t.Errorf("%s", got)
	}
}

func TestNamesCollide(t *testing.T) { namesCollide(t, onSQLite) }
