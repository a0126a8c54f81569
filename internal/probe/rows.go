package probe

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/evidence"
	"github.com/millrace-io/millrace/internal/infer"
	"github.com/millrace-io/millrace/pipeline"
)

// columnNames are names of arrays with the names of columns, as evidence.Plain has them.
var columnNames = []string{"columns", "fields", "header", "headers", "columnnames", "cols"}

// rowsWithNames finds an array of arrays beside an array with as many names as each of them has values, in an answer: a
// table, as databases answer; nil: there is none.
func rowsWithNames(body jsontext.Value) *place {
	var rows, columns []string // names of members
	width := 0
	eachMember(body, func(name string, v jsontext.Value) {
		if v.Kind() != '[' {
			return
		}
		elements := elementsOf(v)
		switch {
		case len(elements) > 0 && elements[0].Kind() == '[':
			n := len(elementsOf(elements[0]))
			if !slices.ContainsFunc(elements, func(e jsontext.Value) bool { return e.Kind() != '[' || len(elementsOf(e)) != n }) && n > 0 {
				rows, width = append(rows, name), n
			}
		case slices.Contains(columnNames, evidence.Plain(name)):
			columns = append(columns, name)
		}
	})
	if len(rows) != 1 {
		return nil
	}
	for _, name := range columns {
		names := namesOf(infer.Value(body, []string{name}))
		if len(names) != width {
			continue
		}
		n := len(elementsOf(infer.Value(body, rows)))
		return &place{
			path: rows, shape: pipeline.Shape{Kind: pipeline.ShapeRows, Columns: []string{name}},
			seen: fmt.Sprintf("an array of %d rows, whose columns are named in %s", n, name),
		}
	}
	return nil
}

// namesOf are texts of an array, or the names in its objects; nil: it has others.
func namesOf(array jsontext.Value) (names []string) {
	for _, e := range elementsOf(array) {
		if e.Kind() == '{' {
			e = infer.Value(e, []string{"name"})
		}
		if e.Kind() != '"' {
			return nil
		}
		names = append(names, infer.Text(e))
	}
	return names
}

// rowRecords are the rows of an answer as objects.
func (p *place) rowRecords(a *answer) []jsontext.Value {
	names := namesOf(infer.Value(a.body, p.shape.Columns))
	var out []jsontext.Value
	for _, row := range elementsOf(infer.Value(a.body, p.path)) {
		var b bytes.Buffer
		values := elementsOf(row)
		if row.Kind() != '[' || len(values) != len(names) {
			continue
		}
		for i, v := range values {
			quoted, _ := jsontext.AppendQuote(nil, names[i])
			fmt.Fprintf(&b, "%c%s:%s", "{,"[min(i, 1)], quoted, strings.TrimSpace(string(v)))
		}
		b.WriteByte('}')
		out = append(out, b.Bytes())
	}
	return out
}
