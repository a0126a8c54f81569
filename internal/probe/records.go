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

// place is where the records of an answer are.
type place struct {
	path  []string       // of object keys; empty: the body
	shape pipeline.Shape // without a kind: an array of objects
	lines bool
	csv   bool   // they are rows of CSV
	seen  string // what was seen there
	guess string // why it is only a guess; empty: it is sure
}

// knownNames are names of arrays of records, best first, as evidence.Plain has them.
var knownNames = []string{
	"data", "results", "items", "records", "value", "values", "entries", "rows", "features", "hits", "list", "objects", "edges", "nodes",
	"documents", "docs", "content", "elements", "collection", "payload", "entities", "resources", "result", "members",
}

type candidate struct {
	place

	n     int
	score int
	named bool // its name is one of records
}

// findRecords says where the records of an answer are. resource is the name of what was asked for.
func findRecords(a *answer, resource string) place {
	switch {
	case a.lines != nil:
		if a.csv {
			return place{lines: true, csv: true, seen: fmt.Sprintf("%d rows, of which each value is a text", len(a.lines))}
		}
		return place{lines: true, seen: fmt.Sprintf("%d lines of JSON", len(a.lines))}
	case a.empty:
		return place{guess: "the answer was empty"}
	case a.body.Kind() == '[':
		return rootArray(a.body)
	case a.body.Kind() != '{':
		return place{guess: "the answer is a single value", shape: pipeline.Shape{Kind: pipeline.ShapeObject}}
	}
	if rows := rowsWithNames(a.body); rows != nil {
		return *rows
	}
	var all []candidate
	collect(a.body, nil, evidence.Plain(resource), &all)
	slices.SortStableFunc(all, func(x, y candidate) int { return y.score - x.score })
	own := ownFields(a.body)
	if whole, ok := mapAt(nil, a.body, ""); ok && (len(all) == 0 || !all[0].named) {
		return whole.place
	}
	switch {
	case len(all) == 0 && own > 0, len(all) > 0 && !all[0].named && own >= 6 && hasID(a.body):
		p := place{shape: pipeline.Shape{Kind: pipeline.ShapeObject}, seen: "the answer is one object"}
		if len(all) > 0 {
			p.guess = "the answer has fields of a record, and an array at " + pipeline.FormatPath(all[0].path) + ", too"
		}
		return p
	case len(all) == 0:
		return place{guess: "no array of records was found", shape: pipeline.Shape{Kind: pipeline.ShapeObject}}
	}
	best := all[0]
	if !best.named && len(all) > 1 && all[1].score > best.score-20 {
		best.guess = "there is another array at " + pipeline.FormatPath(all[1].path)
	}
	return best.place
}

func rootArray(body jsontext.Value) place {
	elements := elementsOf(body)
	p := place{seen: fmt.Sprintf("the answer is an array of %d", len(elements))}
	switch {
	case len(elements) == 0:
		p.guess = "the array is empty"
	case elements[0].Kind() != '{' && elements[0].Kind() != '[':
		p.shape = pipeline.Shape{Kind: pipeline.ShapeValues, As: "id"}
		p.seen += " single values"
	case elements[0].Kind() == '[':
		p.guess = "the records are arrays, of which no field has a name: they become dead letters"
	}
	return p
}

// collect finds what may be the records below an object.
func collect(object jsontext.Value, path []string, resource string, all *[]candidate) {
	eachMember(object, func(name string, v jsontext.Value) {
		at := append(slices.Clip(path), name)
		switch v.Kind() {
		case '[':
			if c, ok := arrayAt(at, v, resource); ok {
				*all = append(*all, c)
			}
		case '{':
			if c, ok := mapAt(at, v, resource); ok {
				*all = append(*all, c)
				return
			}
			if len(at) < 4 {
				collect(v, at, resource, all)
			}
		}
	})
}

func arrayAt(path []string, v jsontext.Value, resource string) (candidate, bool) {
	elements := elementsOf(v)
	c := candidate{n: len(elements), place: place{path: path}}
	name := evidence.Plain(path[len(path)-1])
	known := slices.Index(knownNames, name)
	c.named = known >= 0 || name == resource
	c.score = min(c.n, 40) - 6*len(path)
	if known >= 0 {
		c.score += 60 - known
	}
	if name == resource {
		c.score += 70
	}
	switch {
	case c.n == 0 && !c.named:
		return c, false
	case c.n == 0:
		c.guess = "the array is empty"
		c.seen = "an empty array"
	case elements[0].Kind() == '{':
		c.seen = fmt.Sprintf("an array of %d objects", c.n)
	case elements[0].Kind() == '[' || !c.named:
		return c, false
	default:
		c.score -= 30
		c.shape = pipeline.Shape{Kind: pipeline.ShapeValues, As: "id"}
		c.seen = fmt.Sprintf("an array of %d single values", c.n)
	}
	return c, true
}

// mapAt says whether the members of an object are records.
func mapAt(path []string, v jsontext.Value, resource string) (candidate, bool) {
	n, objects, numbers, fields := 0, 0, 0, map[string]int{}
	eachMember(v, func(_ string, value jsontext.Value) {
		n++
		switch value.Kind() {
		case '{':
			objects++
			eachMember(value, func(name string, _ jsontext.Value) { fields[name]++ })
		case '0':
			numbers++
		}
	})
	shared := 0
	for _, times := range fields {
		if times*2 > n {
			shared++
		}
	}
	c := candidate{n: n, place: place{path: path, shape: pipeline.Shape{Kind: pipeline.ShapeMap, KeyAs: "key", As: "value"}}}
	name := ""
	if len(path) > 0 {
		name = evidence.Plain(path[len(path)-1])
		c.named = slices.Contains(knownNames, name) || name == resource || name == "rates"
	}
	c.score = min(n, 40) - 6*len(path)
	if c.named {
		c.score += 40
	}
	c.seen = fmt.Sprintf("an object of %d members", n)
	if !c.named {
		c.guess = "its members look like records, each under its name"
	}
	if slices.Contains([]string{"links", "_links", "urls"}, name) {
		return c, false
	}
	alike := objects == n && shared*2 > len(fields)
	return c, alike && (n >= 3 && shared >= 2 || n >= 2 && shared >= 1 && (c.named || len(path) == 0)) ||
		n >= 5 && numbers == n && c.named
}

// ownFields counts single values of an object that are no part of an envelope.
func ownFields(body jsontext.Value) int {
	n := 0
	for _, f := range evidence.Read(body).All() {
		if len(f.Path) == 1 && f.Role == evidence.NoRole && f.Value.Kind() != '{' && f.Value.Kind() != '[' {
			n++
		}
	}
	return n
}

func hasID(body jsontext.Value) bool {
	return slices.ContainsFunc([]string{"id", "Id", "_id", "uuid", "sid"}, func(name string) bool { return infer.Value(body, []string{name}) != nil })
}

// cut cuts the records out of an answer.
func (p *place) cut(a *answer) []jsontext.Value {
	if p.lines {
		return a.lines
	}
	v := infer.Value(a.body, p.path)
	switch p.shape.Kind {
	case pipeline.ShapeObject:
		if v.Kind() == '{' {
			return []jsontext.Value{v}
		}
	case pipeline.ShapeMap:
		if v.Kind() == '{' {
			return p.mapRecords(v)
		}
	case pipeline.ShapeRows:
		return p.rowRecords(a)
	case pipeline.ShapeValues:
		var out []jsontext.Value
		if v.Kind() == '[' {
			for _, e := range elementsOf(v) {
				out = append(out, jsontext.Value(fmt.Sprintf("{%q:%s}", p.shape.As, e)))
			}
		}
		return out
	default:
		if v.Kind() == '[' {
			return elementsOf(v)
		}
	}
	return nil
}

// mapRecords are the members of a map, with their names in a field.
func (p *place) mapRecords(v jsontext.Value) (out []jsontext.Value) {
	eachMember(v, func(name string, value jsontext.Value) {
		quoted, _ := jsontext.AppendQuote(nil, name)
		record := fmt.Sprintf("{%q:%s", p.shape.KeyAs, quoted)
		if rest := strings.TrimSpace(string(value)); rest[0] != '{' {
			record += fmt.Sprintf(",%q:%s}", p.shape.As, rest)
		} else if inner := strings.TrimSpace(rest[1:]); inner == "}" {
			record += "}"
		} else {
			record += "," + inner
		}
		out = append(out, jsontext.Value(record))
	})
	return out
}

// rest is the answer without its records.
func (p *place) rest(a *answer) *evidence.Body {
	if a.body.Kind() != '{' || len(p.path) == 0 {
		return evidence.Read(nil)
	}
	return evidence.Read(without(a.body, p.path))
}

// without is an object in which [] stands at a path.
func without(object jsontext.Value, path []string) jsontext.Value {
	var b bytes.Buffer
	b.WriteByte('{')
	eachMember(object, func(name string, v jsontext.Value) {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		quoted, _ := jsontext.AppendQuote(nil, name)
		b.Write(quoted)
		b.WriteByte(':')
		switch {
		case name == path[0] && len(path) == 1:
			b.WriteString("[]")
		case name == path[0] && v.Kind() == '{':
			b.Write(without(v, path[1:]))
		default:
			b.Write(v)
		}
	})
	b.WriteByte('}')
	return b.Bytes()
}

func elementsOf(array jsontext.Value) (out []jsontext.Value) {
	dec := jsontext.NewDecoder(bytes.NewReader(array), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := dec.ReadToken(); err != nil {
		return nil
	}
	for dec.PeekKind() != ']' && dec.PeekKind() != 0 {
		v, err := dec.ReadValue()
		if err != nil {
			return out
		}
		out = append(out, v.Clone())
	}
	return out
}

func eachMember(object jsontext.Value, f func(name string, v jsontext.Value)) {
	dec := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := dec.ReadToken(); err != nil {
		return
	}
	for dec.PeekKind() == '"' {
		token, err := dec.ReadToken()
		if err != nil {
			return
		}
		name := token.String()
		v, err := dec.ReadValue()
		if err != nil {
			return
		}
		f(name, v.Clone())
	}
}
