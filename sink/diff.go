package sink

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics/control"
)

// diffRange is how many rows of a table one statement compares.
const diffRange = 10_000

// DiffSide is one of the two tables that are compared.
type DiffSide struct {
	Pipeline *pipeline.Pipeline // that its stages run: a line, with one stream
	Of       *control.Stream    // what is decided about it
}

// Difference is how two tables differ.
type Difference struct {
	Rows   [2]int64 // of each table
	Equal  int64    // rows that both have, with the same values
	Differ int64    // rows that both have, with others
	Only   [2]int64 // rows that the other table does not have
	Moving int64    // keys that changed at each look, so that it is not known whether their rows differ

	Columns  map[string]int64 // rows that differ, by column
	Lacks    [2][]string      // columns that the table does not have, and the other one has; they are not compared
	Key      bool             // both have the same key; else only Summaries are there
	Summary  []ColumnSummary  // if they have not
	Examples []DiffExample
}

// Same reports whether nothing was found that differs.
func (d *Difference) Same() bool {
	return d.Key && d.Differ == 0 && d.Only == [2]int64{} && d.Moving == 0
}

// DiffExample is a row that differs.
type DiffExample struct {
	Kind   string // differs, only_first, only_second
	Key    string
	Column string     // of differs
	Values [2]*string // of differs; nil: null
}

// ColumnSummary is a column of two tables whose rows cannot be compared.
type ColumnSummary struct {
	Column   string
	Values   [2]int64 // rows in which it is not null
	Distinct [2]int64
	Min, Max [2]*string
}

// Differ compares the tables of two lines, a range of keys at a time, each in one statement, without locks. It is for
// one goroutine, and must be closed.
type Differ struct {
	Difference

	store  *store
	rows   int // of a range
	tables [2]*rows.Table
	shared []common  // columns of both, without the key
	delta  int       // the first table's epochs are higher by this, of the same raw records
	last   condition // of keys after the ranges that are behind
	loose  []looseRow
}

// condition is one on the key of an alias.
type condition func(alias string) string

func everyRow(string) string { return "1 = 1" }

// common is a column of both tables.
type common struct {
	name string
	by   rows.Column
}

// looseRow is a row that differs, perhaps only because one of the lines is behind.
type looseRow struct {
	key      []string // values, as text or bytes
	versions [2]string
	same     int // looks at which both were as at the look before
}

// Loose is how many rows differ of which it is not known yet whether they do.
func (d *Differ) Loose() int { return len(d.loose) }

// NewDiffer looks which columns the two tables have.
func NewDiffer(ctx context.Context, sides [2]DiffSide) (_ *Differ, err error) {
	a, err := OpenAdmin(sides[0].Pipeline)
	if err != nil {
		return nil, err
	}
	d := &Differ{store: a.store, rows: diffRange, last: everyRow, Difference: Difference{Columns: map[string]int64{}}}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	var epochs [2]int
	for i, side := range sides {
		st := &side.Pipeline.Streams[0]
		if g := side.Of.Generation(side.Of.Live); g != nil && g.Definition != "" { // by which it is written
			if defined, err := st.Defined(g.Definition); err == nil {
				st = defined
			}
		}
		d.tables[i] = rows.NewTable(st)
		d.tables[i].Name = side.Pipeline.Streams[0].Sink.Name()
		is, err := d.store.ownedNow(ctx, d.store.db, d.tables[i].Name)
		if err != nil {
			return nil, d.store.dialect.Classify(err)
		}
		if epochs[i] = int(is.epoch); len(side.Of.Epochs) > 0 {
			epochs[i] += int(side.Of.Epochs[len(side.Of.Epochs)-1].Number)
		}
	}
	d.delta = epochs[0] - epochs[1]
	d.match()
	return d, nil
}

// Close gives back the connections.
func (d *Differ) Close() { d.store.close() }

// match finds the columns of both tables, and whether their keys are the same.
func (d *Differ) match() {
	find := func(t *rows.Table, name string) int {
		return slices.IndexFunc(t.Columns, func(c rows.Column) bool { return strings.EqualFold(c.Name, name) })
	}
	first, second := d.tables[0], d.tables[1]
	d.Key = len(first.Key) == len(second.Key)
	for i, at := range first.Key {
		if d.Key {
			one, other := first.Columns[at], second.Columns[second.Key[i]]
			d.Key = strings.EqualFold(one.Name, other.Name) && one.Kind == other.Kind
		}
	}
	for i, c := range first.Columns {
		at := find(second, c.Name)
		switch {
		case at < 0:
			d.Lacks[1] = append(d.Lacks[1], c.Name)
		case !d.Key || !slices.Contains(first.Key, i):
			if second.Columns[at].Kind == columntype.JSON {
				c = second.Columns[at]
			}
			d.shared = append(d.shared, common{c.Name, c})
		}
	}
	for _, c := range second.Columns {
		if find(first, c.Name) < 0 {
			d.Lacks[0] = append(d.Lacks[0], c.Name)
		}
	}
}

const version = rows.VersionColumn

// same is the condition that a column has the same value in both tables, a and b.
func (d *Differ) same(p common) string {
	name := dialect.Quote(p.name)
	return d.store.dialect.Same(p.by, "a."+name, "b."+name)
}

// equal is the condition that all columns of both have.
func (d *Differ) equal() string {
	out := []string{"1 = 1"}
	for _, p := range d.shared {
		out = append(out, d.same(p))
	}
	return "(" + strings.Join(out, " AND ") + ")"
}

// settled is the condition that a and b are of the same raw record.
func (d *Differ) settled() string {
	if d.delta != 0 {
		return "1 = 0" // look finds out
	}
	return "(LENGTH(a." + version + ") >= 16 AND SUBSTR(a." + version + ", 9, 8) = SUBSTR(b." + version + ", 9, 8))"
}

// from is a join of the tables, the one of the two as the first, and on the other where it is there.
func (d *Differ) from(first int) string {
	names := [2]string{"a", "b"}
	var on []string
	for i := range d.tables[0].Key {
		on = append(on, "a."+d.key(0, i)+" = b."+d.key(1, i))
	}
	return fmt.Sprintf(" FROM %s AS %s LEFT JOIN %s AS %s ON %s", dialect.Quote(d.tables[first].Name), names[first],
		dialect.Quote(d.tables[1-first].Name), names[1-first], strings.Join(on, " AND "))
}

// key is the name of a key column of a table.
func (d *Differ) key(table, i int) string {
	t := d.tables[table]
	return dialect.Quote(t.Columns[t.Key[i]].Name)
}

// keys are the key columns of an alias, as text.
func (d *Differ) keys(table int, alias string) string {
	var out []string
	for i, at := range d.tables[table].Key {
		name := alias + "." + d.key(table, i)
		if d.tables[table].Columns[at].Kind != columntype.Binary {
			name = "CAST(" + name + " AS CHAR)"
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}

// literal is a value of a key column, as keys has it.
func (d *Differ) literal(i int, value string) string {
	form := rows.Text
	switch k := d.tables[0].Columns[d.tables[0].Key[i]].Kind; {
	case k == columntype.Binary:
		form = rows.Bytes
	case k.Numeric():
		form = rows.Number
	}
	return string(d.store.dialect.AppendLiteral(nil, rows.Value{Form: form, Bytes: []byte(value)}))
}

// after is the condition of keys above one, or of those that are not below it.
func (d *Differ) after(key []string, orEqual bool) condition {
	return func(alias string) string {
		var either []string
		for i := range key {
			var all []string
			for j := range i {
				all = append(all, alias+"."+d.key(0, j)+" = "+d.literal(j, key[j]))
			}
			op := " > "
			if orEqual && i == len(key)-1 {
				op = " >= "
			}
			all = append(all, alias+"."+d.key(0, i)+op+d.literal(i, key[i]))
			either = append(either, "("+strings.Join(all, " AND ")+")")
		}
		return "(" + strings.Join(either, " OR ") + ")"
	}
}

// Range compares the next range of keys, and reports whether there is another one.
func (d *Differ) Range(ctx context.Context) (more bool, err error) {
	bound, err := d.bound(ctx)
	if err != nil {
		return false, d.failed(err)
	}
	where := d.last
	if bound != nil {
		begin, next := d.last, d.after(bound, false)
		where = func(alias string) string { return begin(alias) + " AND NOT " + next(alias) }
		d.last = next
	}
	equal, err := d.allEqual(ctx, where)
	if equal || err != nil {
		return bound != nil, d.failed(err)
	}
	loose, differ, err := d.count(ctx, where)
	if err == nil && loose > 0 {
		err = d.list(ctx, where)
	}
	if err == nil && differ > 0 {
		err = d.examples(ctx, where)
	}
	return bound != nil, d.failed(err)
}

func (d *Differ) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("compare %s with %s: %w", d.tables[0].Name, d.tables[1].Name, d.store.dialect.Classify(err))
}

// bound is the last key of the range: the lower of those of both tables, so that no range has more rows of one; nil: it
// is the last one.
func (d *Differ) bound(ctx context.Context) (bound []string, err error) {
	for table := range d.tables {
		where := d.last("x")
		if bound != nil { // a lower one
			where += " AND NOT " + d.after(bound, true)("x")
		}
		var order []string
		for i := range d.tables[table].Key {
			order = append(order, "x."+d.key(table, i))
		}
		query := fmt.Sprintf("SELECT %s FROM %s AS x WHERE %s ORDER BY %s LIMIT 1 OFFSET %d", d.keys(table, "x"),
			dialect.Quote(d.tables[table].Name), where, strings.Join(order, ", "), d.rows-1)
		if err := d.each(ctx, query, func(values []sql.RawBytes) { bound = texts(values) }); err != nil {
			return nil, err
		}
	}
	return bound, nil
}

func texts(values []sql.RawBytes) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// allEqual reports whether nothing differs in a range, and counts its rows if so: most ranges cost one comparison for
// each row.
func (d *Differ) allEqual(ctx context.Context, where condition) (equal bool, err error) {
	query := "SELECT 0, COUNT(*), SUM(b." + version + " IS NOT NULL AND " + d.equal() + ")" + d.from(0) + " WHERE " + where("a") +
		" UNION ALL SELECT 1, COUNT(*), SUM(a." + version + " IS NOT NULL)" + d.from(1) + " WHERE " + where("b")
	var n [2][2]int64 // of each table rows, and those that are well
	err = d.each(ctx, query, func(values []sql.RawBytes) {
		n[whole(values[0])] = [2]int64{whole(values[1]), whole(values[2])}
	})
	if err != nil || n[0][0] != n[0][1] || n[1][0] != n[1][1] {
		return false, err
	}
	d.Rows[0], d.Rows[1], d.Equal = d.Rows[0]+n[0][0], d.Rows[1]+n[1][0], d.Equal+n[0][1]
	return true, nil
}

// count counts the rows of a range, by one view of both tables: how many are loose, and how many differ for sure.
func (d *Differ) count(ctx context.Context, where condition) (loose, differ int64, err error) {
	sums := []string{"COUNT(*)", "SUM(b." + version + " IS NULL)", "SUM(b." + version + " IS NOT NULL AND " + d.equal() + ")",
		"SUM(b." + version + " IS NOT NULL AND NOT " + d.equal() + " AND " + d.settled() + ")"}
	nothing := []string{"COUNT(*)", "SUM(a." + version + " IS NULL)", "0", "0"}
	for _, p := range d.shared {
		sums = append(sums, "SUM(b."+version+" IS NOT NULL AND NOT "+d.same(p)+" AND "+d.settled()+")")
		nothing = append(nothing, "0")
	}
	query := "SELECT 0, " + strings.Join(sums, ", ") + d.from(0) + " WHERE " + where("a") +
		" UNION ALL SELECT 1, " + strings.Join(nothing, ", ") + d.from(1) + " WHERE " + where("b")
	err = d.each(ctx, query, func(values []sql.RawBytes) {
		n := make([]int64, len(values))
		for i, v := range values {
			n[i] = whole(v)
		}
		table := n[0]
		d.Rows[table] += n[1]
		loose += n[2]
		if table == 1 {
			return
		}
		loose += n[1] - n[2] - n[3] - n[4]
		d.Equal, d.Differ, differ = d.Equal+n[3], d.Differ+n[4], n[4]
		for i, p := range d.shared {
			if n[5+i] > 0 {
				d.Columns[p.name] += n[5+i]
			}
		}
	})
	return loose, differ, err
}

// whole is a number that a query counted; null is the sum of none.
func whole(v sql.RawBytes) int64 {
	n, _ := strconv.ParseInt(string(v), 10, 64)
	return n
}

// list notes the rows of a range that are loose.
func (d *Differ) list(ctx context.Context, where condition) error {
	query := "SELECT " + d.keys(0, "a") + ", a." + version + ", b." + version + d.from(0) + " WHERE " + where("a") +
		" AND (b." + version + " IS NULL OR NOT " + d.equal() + " AND NOT " + d.settled() + ")" +
		" UNION ALL SELECT " + d.keys(1, "b") + ", NULL, b." + version + d.from(1) + " WHERE a." + version + " IS NULL AND " + where("b")
	k := len(d.tables[0].Key)
	return d.each(ctx, query, func(values []sql.RawBytes) {
		d.loose = append(d.loose, looseRow{key: texts(values[:k]), versions: [2]string{string(values[k]), string(values[k+1])}})
	})
}

// each calls do for the rows of a query; the values are good until it returns.
func (d *Differ) each(ctx context.Context, query string, do func([]sql.RawBytes)) error {
	found, err := d.store.db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	return eachRow(found, do)
}
