package sink

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// table is a stream's table, ready for use. It is read-only.
type table struct {
	stream    string
	name      string
	letters   string // dead-letter topic
	columns   []column
	key       []int // the key columns' places in columns, in their order
	versioned bool  // records have a version of the source's: an older one may come at any time
	byName    map[string]int
	bulk      *bulk // nil: never
}

func newTable(p *pipeline.Pipeline, s *pipeline.Stream) *table {
	t := &table{
		stream: s.Name, name: s.Sink.Table, letters: topics.DeadLetters(p.Name, s.Name),
		versioned: s.Ingest.Version != "", byName: map[string]int{},
	}
	for i, c := range s.Sink.Columns {
		t.columns = append(t.columns, newColumn(c))
		t.byName[string(t.columns[i].quoted)] = i
		if c.Key {
			t.key = append(t.key, i)
		}
	}
	return t
}

// change is what a processed record does to its table.
type change struct {
	table   *table
	claim   *claim
	record  *kgo.Record
	version topics.Version
	valid   bool   // version is one
	late    bool   // at a raw position that was applied already: a mark may forbid it
	remove  bool   // the record has no rows
	row     []byte // of an upsert: the literals of all columns and of the version, in parentheses
	pk      []byte // the literals of the key columns, separated by commas
	reason  error  // not nil: it can never be stored
}

// decoder turns processed records into changes. Its changes' bytes live in its arena until reset. It is for one goroutine.
type decoder struct {
	quote  quoter
	arena  []byte
	values []jsontext.Value
	json   *jsontext.Decoder
	source *bytes.Buffer
}

func newDecoder(q quoter) *decoder {
	d := &decoder{quote: q, source: new(bytes.Buffer)}
	d.json = jsontext.NewDecoder(d.source, jsontext.AllowDuplicateNames(true))
	return d
}

// change decodes r. What is wrong with it is the change's reason.
func (d *decoder) change(t *table, c *claim, r *kgo.Record) change {
	x := change{table: t, claim: c, record: r, remove: r.Value == nil}
	var pk []byte
	for i := range r.Headers {
		switch h := &r.Headers[i]; h.Key {
		case topics.HeaderVersion:
			x.version, x.reason = topics.ParseVersion(h.Value)
			x.valid = x.reason == nil
		case topics.HeaderPK:
			pk = h.Value
		}
	}
	switch {
	case x.reason != nil:
	case !x.valid:
		x.reason = errors.New("no " + topics.HeaderVersion + " header: not a record of the processor's")
	case x.remove:
		x.reason = d.removal(&x, pk)
	default:
		x.reason = d.upsert(&x)
	}
	return x
}

// removal takes the key columns from the mr-pk header.
func (d *decoder) removal(x *change, pk []byte) error {
	d.restart(pk)
	if token, err := d.json.ReadToken(); err != nil || token.Kind() != '[' {
		return fmt.Errorf("%s: %q is not a JSON array", topics.HeaderPK, pk)
	}
	begin := len(d.arena)
	for i, at := range x.table.key {
		v, err := d.json.ReadValue()
		if err != nil {
			return fmt.Errorf("%s: %q has not %d values", topics.HeaderPK, pk, len(x.table.key))
		}
		if i > 0 {
			d.arena = append(d.arena, ',')
		}
		if err := d.literal(&x.table.columns[at], v); err != nil {
			return err
		}
	}
	x.pk = d.arena[begin:len(d.arena):len(d.arena)]
	return nil
}

// upsert takes all columns from the value. A column that the value lacks is null.
func (d *decoder) upsert(x *change) error {
	t := x.table
	d.values = slices.Grow(d.values[:0], len(t.columns))[:len(t.columns)]
	clear(d.values)
	d.restart(x.record.Value)
	if token, err := d.json.ReadToken(); err != nil || token.Kind() != '{' {
		return errors.New("the value is not a JSON object")
	}
	base := x.record.Value
	for next := 0; d.json.PeekKind() != '}'; next++ {
		name, err := d.json.ReadValue()
		if err != nil {
			return fmt.Errorf("the value is not JSON: %w", err)
		}
		at, ok := next, next < len(t.columns) && bytes.Equal(name, t.columns[next].quoted) // the usual order
		if !ok {
			at, ok = t.byName[string(name)]
		}
		v, err := d.json.ReadValue()
		if err != nil {
			return fmt.Errorf("the value is not JSON: %w", err)
		}
		if ok {
			end := d.json.InputOffset()
			d.values[at] = jsontext.Value(base[end-int64(len(v)) : end]) // v lives until the next read only
		}
	}
	begin := len(d.arena)
	d.arena = append(d.arena, '(')
	for i := range t.columns {
		v := d.values[i]
		if v == nil {
			v = jsontext.Value("null")
		}
		if err := d.literal(&t.columns[i], v); err != nil {
			return err
		}
		d.arena = append(d.arena, ',')
	}
	d.arena = append(d.quote.bytes(d.arena, x.version[:]), ')')
	x.row = d.arena[begin:len(d.arena):len(d.arena)]
	return d.keyOf(x)
}

func (d *decoder) keyOf(x *change) error {
	begin := len(d.arena)
	for i, at := range x.table.key {
		if i > 0 {
			d.arena = append(d.arena, ',')
		}
		if err := d.literal(&x.table.columns[at], d.values[at]); err != nil {
			return err
		}
	}
	x.pk = d.arena[begin:len(d.arena):len(d.arena)]
	return nil
}

func (d *decoder) literal(c *column, v jsontext.Value) error {
	out, err := c.literal(d.arena, v, d.quote)
	if err == nil {
		d.arena = out
	}
	return err
}

func (d *decoder) restart(text []byte) {
	*d.source = *bytes.NewBuffer(text)
	d.json.Reset(d.source, jsontext.AllowDuplicateNames(true))
}
