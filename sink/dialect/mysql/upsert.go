package mysql

import (
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// Upsert is INSERT … ON DUPLICATE KEY UPDATE, and LOAD DATA where the server takes it.
func (m *Dialect) Upsert(t *rows.Table) dialect.Upsert {
	u := dialect.Upsert{Insert: dialect.InsertInto(dialect.Quote(t.Name), t), Merge: m.merge(t)}
	u.Probe = []string{
		fmt.Sprintf("DELETE FROM %s WHERE 1 = 0", dialect.Quote(t.Name)),
		m.probe(t) + u.Merge,
	}
	u.Spare, u.Spared = "DELETE IGNORE FROM "+dialect.Quote(t.Name)+" WHERE ", spared
	u.Bend, u.AppendBend, u.Bent = bend(t), m.appendBend, bent
	if m.loads {
		if l := m.newLoad(t, u.Merge); l != nil {
			u.Bulk = l
		}
	}
	return u
}

// merge assigns the version last: MySQL evaluates the assignments from left to right, and each later one sees what the
// earlier ones assigned (MySQL Reference Manual, "INSERT ... ON DUPLICATE KEY UPDATE Statement").
func (m *Dialect) merge(t *rows.Table) string {
	var b strings.Builder
	b.WriteString(m.duplicate())
	name, version := dialect.Quote(t.Name), rows.VersionColumn
	assign := func(column string) {
		fmt.Fprintf(&b, "%s = IF(%s > %s.%s, %s, %s.%s)", column, m.inserted(version), name, version, m.inserted(column), name, column)
	}
	for _, c := range t.Columns {
		if !c.Key {
			assign(dialect.Quote(c.Name))
			b.WriteString(", ")
		}
	}
	assign(version)
	return b.String()
}

// alias names the new row of an upsert. The pipeline file takes no table whose name begins so.
const alias = "millrace_new"

// probe is an upsert into t of no rows, without its end.
func (m *Dialect) probe(t *rows.Table) string {
	names := dialect.ColumnNames(t)
	sql := fmt.Sprintf("INSERT INTO %s (%s) SELECT %[2]s FROM (SELECT %[2]s FROM %[1]s WHERE 1 = 0)", dialect.Quote(t.Name), names)
	if m.values {
		sql += " AS " + alias // what Merge begins with otherwise
	}
	return sql
}

// duplicate is what comes between the rows of an upsert and its assignments.
func (m *Dialect) duplicate() string {
	if m.values {
		return " ON DUPLICATE KEY UPDATE "
	}
	return " AS " + alias + " ON DUPLICATE KEY UPDATE "
}

// inserted is the value that an upsert would insert into a column.
func (m *Dialect) inserted(column string) string {
	if m.values {
		return "VALUES(" + column + ")"
	}
	return alias + "." + column
}
