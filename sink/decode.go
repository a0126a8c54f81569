package sink

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/expression"
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
	bulk      *bulk // nil: never
}

func newTable(p *pipeline.Pipeline, s *pipeline.Stream) *table {
	t := &table{
		stream: s.Name, name: s.Sink.Table, letters: topics.DeadLetters(p.Name, s.Name),
		versioned: s.Ingest.Version != "",
	}
	for i, c := range s.Sink.Columns {
		t.columns = append(t.columns, newColumn(c))
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
	outdone bool   // its batch has a newer one of the same raw key
	row     []byte // of an upsert: the literals of all columns and of the version, in parentheses
	pk      []byte // the literals of the key columns, separated by commas
	reason  error  // not nil: it can never be stored
}

// decoder turns processed records into changes. Its changes' bytes live in its arena until reset. It is for one goroutine.
type decoder struct {
	quote   quoter
	arena   []byte
	cutters map[*table]*cutter
}

// cutter cuts the columns' values out of records.
type cutter struct {
	*expression.Extractor
	frame *expression.Frame // slot i is column i
}

func newDecoder(q quoter) *decoder { return &decoder{quote: q, cutters: map[*table]*cutter{}} }

func (d *decoder) cutter(t *table) *cutter {
	if c := d.cutters[t]; c != nil {
		return c
	}
	scope := expression.NewScope()
	for _, c := range t.columns {
		scope.Slot([]string{c.Name})
	}
	c := &cutter{scope.NewExtractor(), scope.NewFrame()}
	d.cutters[t] = c
	return c
}

// change decodes r into x. What is wrong with it is x's reason.
func (d *decoder) change(x *change, c *claim, r *kgo.Record) {
	*x = change{table: c.table, claim: c, record: r, remove: r.Value == nil}
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
		x.reason = d.removal(x, pk)
	default:
		x.reason = d.upsert(x)
	}
}

// removal takes the key columns from the mr-pk header.
func (d *decoder) removal(x *change, pk []byte) error {
	values, err := expression.Elements(pk)
	if err != nil || len(values) != len(x.table.key) {
		return fmt.Errorf("%s: %q is not a JSON array of %d values", topics.HeaderPK, pk, len(x.table.key))
	}
	begin := len(d.arena)
	for i, at := range x.table.key {
		if i > 0 {
			d.arena = append(d.arena, ',')
		}
		if err := d.literal(&x.table.columns[at], values[i]); err != nil {
			return err
		}
	}
	x.pk = d.arena[begin:len(d.arena):len(d.arena)]
	return nil
}

// upsert takes all columns from the value. A column that the value lacks is null.
func (d *decoder) upsert(x *change) error {
	t, c := x.table, d.cutter(x.table)
	if err := c.Extract(c.frame, x.record.Value); err != nil {
		return err
	}
	begin, key := len(d.arena), 0
	d.arena = append(d.arena, '(')
	for i := range t.columns {
		if i == t.key[0] {
			key = len(d.arena)
		}
		if err := d.literal(&t.columns[i], c.frame.Slots[i].Token()); err != nil {
			return err
		}
		if i == t.key[0] {
			x.pk = d.arena[key:len(d.arena):len(d.arena)]
		}
		d.arena = append(d.arena, ',')
	}
	d.arena = append(d.quote.bytes(d.arena, x.version[:]), ')')
	x.row = d.arena[begin:len(d.arena):len(d.arena)]
	if len(t.key) == 1 {
		return nil
	}
	begin = len(d.arena)
	for i, at := range t.key {
		if i > 0 {
			d.arena = append(d.arena, ',')
		}
		if err := d.literal(&t.columns[at], c.frame.Slots[at].Token()); err != nil {
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
