package mysql

import (
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// Upsert is INSERT … ON DUPLICATE KEY UPDATE, and LOAD DATA where the server takes it.
func (m *Dialect) Upsert(t *rows.Table) dialect.Upsert {
	u := dialect.Upsert{Insert: dialect.InsertInto(t), Merge: m.merge(t)}
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

// duplicate is what comes between the rows of an upsert and its assignments.
func (m *Dialect) duplicate() string {
	if m.values {
		return " ON DUPLICATE KEY UPDATE "
	}
	return " AS n ON DUPLICATE KEY UPDATE "
}

// inserted is the value that an upsert would insert into a column.
func (m *Dialect) inserted(column string) string {
	if m.values {
		return "VALUES(" + column + ")"
	}
	return "n." + column
}
