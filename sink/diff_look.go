package sink

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/topics"
)

// The kinds of differences.
const (
	DiffDiffers    = "differs"
	DiffOnlyFirst  = "only_first"
	DiffOnlySecond = "only_second"
)

// looksAtOnce is how many keys one statement looks for.
const looksAtOnce = 200

// Look looks again at the rows that are loose, once both lines have applied all that either had applied at the look
// before. A row that has not changed since in either table, and differs still, differs for good: it is not because one
// line was behind. One that has changed, and differs, stays loose; if it is the last look, it is counted as moving.
// Where one table has no row, nothing says whether that is for the same reason as before: a line that had not come so
// far may be ahead by now, and have removed it. So such a row is looked at twice: what had removed it by the first
// look, the other line has applied by the second.
func (d *Differ) Look(ctx context.Context, last bool) error {
	loose := d.loose
	d.loose = nil
	for group := range slices.Chunk(loose, looksAtOnce) {
		if err := d.look(ctx, group); err != nil {
			return d.failed(err)
		}
	}
	if last {
		d.Moving += int64(len(d.loose))
		d.loose = nil
	}
	return nil
}

func (d *Differ) look(ctx context.Context, group []looseRow) error {
	before := map[string]looseRow{}
	for _, r := range group {
		before[strings.Join(r.key, "\x00")] = r
	}
	where := func(alias string) string {
		var keys []string
		for _, r := range group {
			keys = append(keys, d.has(alias, r.key))
		}
		return "(" + strings.Join(keys, " OR ") + ")"
	}
	selected := []string{"a." + version, "b." + version, "1", "b." + version + " IS NOT NULL"} // a version may be empty
	nothing := []string{"NULL", "b." + version, "0", "1"}
	for _, p := range d.shared {
		selected = append(selected, d.same(p), p.text("a"), p.text("b"))
		nothing = append(nothing, "0", "NULL", p.text("b"))
	}
	query := "SELECT " + d.keys(0, "a") + ", " + strings.Join(selected, ", ") + d.from(0) + " WHERE " + where("a") +
		" UNION ALL SELECT " + d.keys(1, "b") + ", " + strings.Join(nothing, ", ") + d.from(1) + " WHERE a." + version + " IS NULL AND " + where("b")
	k := len(d.tables[0].Key)
	return d.each(ctx, query, func(values []sql.RawBytes) {
		r := looseRow{key: texts(values[:k]), versions: [2]string{string(values[k]), string(values[k+1])}}
		was := before[strings.Join(r.key, "\x00")]
		d.judge(r, was, values[k:])
	})
}

// text is the column of an alias as text.
func (p common) text(alias string) string {
	if p.by.Kind == columntype.Binary {
		return alias + "." + dialect.Quote(p.name)
	}
	return "CAST(" + alias + "." + dialect.Quote(p.name) + " AS CHAR)"
}

// has is the condition that an alias has this key.
func (d *Differ) has(alias string, key []string) string {
	var all []string
	for i, value := range key {
		all = append(all, alias+"."+d.key(0, i)+" = "+d.literal(i, value))
	}
	return "(" + strings.Join(all, " AND ") + ")"
}

// judge counts a row by what was seen of it before, and now: values are both versions, which tables have it, and of
// each column whether it is the same, and both values.
func (d *Differ) judge(r, was looseRow, values []sql.RawBytes) {
	there, columns := [2]bool{string(values[2]) == "1", string(values[3]) == "1"}, values[4:]
	differ := false
	for i := range d.shared {
		differ = differ || string(columns[3*i]) != "1"
	}
	switch {
	case there[0] && there[1] && !differ:
		d.Equal++
		return
	case r.versions != was.versions && !d.ofOneRecord(r):
		d.loose = append(d.loose, r)
		return
	case (!there[0] || !there[1]) && was.same == 0:
		r.same = 1
		d.loose = append(d.loose, r)
		return
	}
	for side, kind := range []string{DiffOnlyFirst, DiffOnlySecond} {
		if !there[1-side] {
			d.Only[side]++
			d.example(DiffExample{Kind: kind, Key: strings.Join(r.key, ", ")})
			return
		}
	}
	d.Differ++
	for i, p := range d.shared {
		if string(columns[3*i]) != "1" {
			d.Columns[p.name]++
		}
	}
	d.differs(r.key, columns)
}

// ofOneRecord reports whether both rows are of the same raw record.
func (d *Differ) ofOneRecord(r looseRow) bool {
	if len(r.versions[0]) != topics.VersionSize || len(r.versions[1]) != topics.VersionSize {
		return false
	}
	one, other := topics.Version([]byte(r.versions[0])), topics.Version([]byte(r.versions[1]))
	return int(one.Epoch())-int(other.Epoch()) == d.delta && one.Offset() == other.Offset()
}

// examples reads what differs in some rows of a range that differ for sure.
func (d *Differ) examples(ctx context.Context, where condition) error {
	n := d.wants(DiffDiffers)
	if n == 0 {
		return nil
	}
	var selected []string
	for _, p := range d.shared {
		selected = append(selected, d.same(p), p.text("a"), p.text("b"))
	}
	query := fmt.Sprintf("SELECT %s, %s%s WHERE %s AND b.%s IS NOT NULL AND NOT %s AND %s LIMIT %d", d.keys(0, "a"), strings.Join(selected, ", "),
		d.from(0), where("a"), version, d.equal(), d.settled(), n)
	k := len(d.tables[0].Key)
	return d.each(ctx, query, func(values []sql.RawBytes) { d.differs(texts(values[:k]), values[k:]) })
}

// differs keeps a row as an example: values are of each column whether it is the same, and both values.
func (d *Differ) differs(key []string, values []sql.RawBytes) {
	if d.wants(DiffDiffers) == 0 {
		return
	}
	for i, p := range d.shared {
		if v := values[3*i:]; string(v[0]) != "1" {
			d.Examples = append(d.Examples, DiffExample{Kind: DiffDiffers, Key: strings.Join(key, ", "), Column: p.name, Values: [2]*string{text(v[1]), text(v[2])}})
		}
	}
}

func (d *Differ) example(e DiffExample) {
	if d.wants(e.Kind) > 0 {
		d.Examples = append(d.Examples, e)
	}
}

// wants is of how many rows more there can be examples.
func (d *Differ) wants(kind string) int {
	keys := map[string]bool{}
	for _, e := range d.Examples {
		if e.Kind == kind {
			keys[e.Key] = true
		}
	}
	return max(0, examplesKept-len(keys))
}

// Summarize is for tables whose keys differ: it counts their rows, and what each column of both has, a table at a time.
func (d *Differ) Summarize(ctx context.Context) error {
	d.Summary = make([]ColumnSummary, len(d.shared))
	for table, t := range d.tables {
		selected := []string{"COUNT(*)"}
		for i, p := range d.shared {
			d.Summary[i].Column = p.name
			name := dialect.Quote(p.name)
			if p.by.Kind == columntype.JSON {
				name = "CAST(" + name + " AS CHAR)"
			}
			selected = append(selected, "COUNT("+name+")", "COUNT(DISTINCT "+name+")", "MIN("+name+")", "MAX("+name+")")
		}
		if err := d.each(ctx, "SELECT "+strings.Join(selected, ", ")+" FROM "+dialect.Quote(t.Name), func(values []sql.RawBytes) {
			d.Rows[table] = whole(values[0])
			for i := range d.shared {
				s, v := &d.Summary[i], values[1+4*i:]
				s.Values[table], s.Distinct[table], s.Min[table], s.Max[table] = whole(v[0]), whole(v[1]), text(v[2]), text(v[3])
			}
		}); err != nil {
			return d.failed(err)
		}
	}
	return nil
}
