package sink

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// count compares the temporary table with the one that is there.
func (c *comparer) count(ctx context.Context) error {
	twin := dialect.Quote(c.copy.Name)
	if c.like == "" {
		return c.each(ctx, "SELECT "+c.keys("n")+" FROM "+twin+" AS n", func(values []sql.RawBytes) {
			c.is.Added++
			c.example(Example{Kind: ExampleAdded, Key: key(values)})
		})
	}
	position := func(table string) string { return "SUBSTR(" + table + "." + rows.VersionColumn + ", 1, 16)" }
	on := make([]string, 0, len(c.table.Key))
	for _, i := range c.table.Key {
		name := dialect.Quote(c.table.Columns[i].Name)
		on = append(on, "n."+name+" = o."+name)
	}
	selected := []string{
		c.keys("n"), "o." + rows.VersionColumn + " IS NULL", position("o") + " > " + position("n"),
		"LENGTH(o." + rows.VersionColumn + ") > 0 AND " + position("o") + " < " + position("n"),
	}
	for _, column := range c.shared {
		name := dialect.Quote(column.Name)
		selected = append(selected, c.store.dialect.Same(column, "n."+name, "o."+name))
	}
	var differ [][]byte // conditions of the rows that are examples
	err := c.each(ctx, fmt.Sprintf("SELECT %s FROM %s AS n LEFT JOIN %s AS o ON %s",
		strings.Join(selected, ", "), twin, dialect.Quote(c.table.Name), strings.Join(on, " AND ")), func(values []sql.RawBytes) {
		k := len(c.table.Key)
		if c.compared(key(values[:k]), values[k:]) && len(differ) < c.wants(ExampleChanged) {
			differ = append(differ, c.condition(values[:k]))
		}
	})
	if err != nil || len(differ) == 0 {
		return err
	}
	return c.examples(ctx, strings.Join(on, " AND "), string(bytes.Join(differ, []byte(" OR "))))
}

// compared counts a row, and reports whether columns of it change.
func (c *comparer) compared(key string, flags []sql.RawBytes) (changed bool) {
	yes := func(i int) bool { return string(flags[i]) == "1" }
	switch {
	case yes(0):
		c.is.Added++
		c.example(Example{Kind: ExampleAdded, Key: key})
		return false
	case yes(1):
		c.is.MovedOn++
		return false
	case yes(2):
		c.is.Behind++
	}
	for i, column := range c.shared {
		if !yes(3 + i) {
			c.is.Columns[column.Name]++
			changed = true
		}
	}
	if changed {
		c.is.Changed++
	} else {
		c.is.Equal++
	}
	return changed
}

// condition is the one of a row of the temporary table with these values of the key, as the database writes them.
func (c *comparer) condition(values []sql.RawBytes) []byte {
	out := []byte("(")
	for i, at := range c.table.Key {
		if i > 0 {
			out = append(out, " AND "...)
		}
		out = fmt.Appendf(out, "n.%s = ", dialect.Quote(c.table.Columns[at].Name))
		form := rows.Text
		if c.table.Columns[at].Kind == columntype.Binary {
			form = rows.Bytes
		}
		out = c.store.dialect.AppendLiteral(out, rows.Value{Form: form, Bytes: values[i]})
	}
	return append(out, ')')
}

// examples reads what changes in some rows.
func (c *comparer) examples(ctx context.Context, on, where string) error {
	var selected []string
	for _, column := range c.shared {
		name := dialect.Quote(column.Name)
		selected = append(selected, "o."+name, "n."+name, c.store.dialect.Same(column, "n."+name, "o."+name))
	}
	query := fmt.Sprintf("SELECT %s, %s FROM %s AS n JOIN %s AS o ON %s WHERE %s",
		c.keys("n"), strings.Join(selected, ", "), dialect.Quote(c.copy.Name), dialect.Quote(c.table.Name), on, where)
	return c.each(ctx, query, func(values []sql.RawBytes) {
		k := len(c.table.Key)
		of := key(values[:k])
		for i, column := range c.shared {
			if v := values[k+3*i:]; string(v[2]) != "1" {
				c.is.Examples = append(c.is.Examples, Example{Kind: ExampleChanged, Key: of, Column: column.Name, Before: text(v[0]), After: text(v[1])})
			}
		}
	})
}

// keys are the key columns of a table of a query.
func (c *comparer) keys(table string) string {
	var names []string
	for _, i := range c.table.Key {
		names = append(names, table+"."+dialect.Quote(c.table.Columns[i].Name))
	}
	return strings.Join(names, ", ")
}

// key joins values of key columns, for people.
func key(values []sql.RawBytes) string { return string(bytes.Join(asBytes(values), []byte(", "))) }

func asBytes(values []sql.RawBytes) [][]byte {
	out := make([][]byte, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}

// text copies a value; nil is null.
func text(v sql.RawBytes) *string {
	if v == nil {
		return nil
	}
	s := string(v)
	return &s
}

// each calls do for the rows of a query; the values are good until it returns.
func (c *comparer) each(ctx context.Context, query string, do func([]sql.RawBytes)) error {
	found, err := c.writer.session.QueryContext(ctx, query)
	if err != nil {
		return c.store.tableError(c.table, "compare with it", err)
	}
	return eachRow(found, do)
}

// eachRow calls do for the rows of an answer, and closes it; the values are good until do returns.
func eachRow(found *sql.Rows, do func([]sql.RawBytes)) (err error) {
	defer func() { err = errors.Join(err, found.Close()) }()
	names, err := found.Columns()
	if err != nil {
		return err
	}
	values, into := make([]sql.RawBytes, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for found.Next() {
		if err := found.Scan(into...); err != nil {
			return err
		}
		do(values)
	}
	return found.Err()
}
