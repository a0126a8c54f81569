package rows

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/topics"
)

// Decoder turns processed records into changes, whose values live in its memory until Reset. It is for one goroutine.
type Decoder struct {
	encoder
	cutters map[*Table]*cutter
	changes []Change
}

// cutter cuts the columns' values out of records.
type cutter struct {
	*expression.Extractor
	frame *expression.Frame // slot i is column i
}

// NewDecoder returns a decoder for any tables.
func NewDecoder() *Decoder { return &Decoder{cutters: map[*Table]*cutter{}} }

// Reset takes the memory of all changes so far for others.
func (d *Decoder) Reset() { d.out = d.out[:0] }

// Changes returns an empty slice with room for n changes. It takes the memory of the one before.
func (d *Decoder) Changes(n int) []Change {
	if cap(d.changes) < n {
		d.changes = make([]Change, 0, n)
	}
	clear(d.changes[:cap(d.changes)]) // so that their records are free
	return d.changes[:0]
}

func (d *Decoder) cutter(t *Table) *cutter {
	if c := d.cutters[t]; c != nil {
		return c
	}
	scope := expression.NewScope()
	for _, c := range t.Columns {
		scope.Slot([]string{c.Name})
	}
	c := &cutter{scope.NewExtractor(), scope.NewFrame()}
	d.cutters[t] = c
	return c
}

// Decode decodes r, a record of t's topic, into x. What is wrong with it is x's reason.
func (d *Decoder) Decode(x *Change, t *Table, r *kgo.Record) {
	*x = Change{Table: t, Record: r, Remove: r.Value == nil}
	var key []byte
	for i := range r.Headers {
		switch h := &r.Headers[i]; h.Key {
		case topics.HeaderVersion:
			x.Version, x.Reason = topics.ParseVersion(h.Value)
			x.Valid = x.Reason == nil
		case topics.HeaderPK:
			key = h.Value
		}
	}
	switch {
	case x.Reason != nil:
	case !x.Valid:
		x.Reason = errors.New("no " + topics.HeaderVersion + " header: not a record of the processor's")
	case x.Remove:
		x.Reason = d.removal(x, key)
	default:
		x.Reason = d.upsert(x)
	}
}

// removal takes the key columns from the mr-pk header.
func (d *Decoder) removal(x *Change, key []byte) error {
	values, err := expression.Elements(key)
	if err != nil || len(values) != len(x.Table.Key) {
		return fmt.Errorf("%s: %q is not a JSON array of %d values", topics.HeaderPK, key, len(x.Table.Key))
	}
	begin := len(d.out)
	for i, at := range x.Table.Key {
		if err := x.Table.Columns[at].encode(&d.encoder, values[i]); err != nil {
			return err
		}
	}
	x.Key = d.out[begin:len(d.out):len(d.out)]
	return nil
}

// upsert takes all columns from the value. A column that the value lacks is null.
func (d *Decoder) upsert(x *Change) error {
	t, c := x.Table, d.cutter(x.Table)
	if err := c.Extract(c.frame, x.Record.Value); err != nil {
		return err
	}
	begin, key, keyEnd := len(d.out), 0, 0
	for i := range t.Columns {
		if i == t.Key[0] {
			key = len(d.out)
		}
		if err := t.Columns[i].encode(&d.encoder, c.frame.Slots[i].Token()); err != nil {
			return err
		}
		if i == t.Key[0] {
			keyEnd = len(d.out)
		}
	}
	x.Row = d.out[begin:len(d.out):len(d.out)]
	if x.Key = d.out[key:keyEnd:keyEnd]; len(t.Key) > 1 {
		x.Key = d.keyOf(x)
	}
	return nil
}

// keyOf copies the values of several key columns, which may have others between them.
func (d *Decoder) keyOf(x *Change) Values {
	begin, rest, at := len(d.out), x.Row, 0
	for i := 0; at < len(x.Table.Key); i++ {
		var v Value
		if v, rest = rest.Next(); i == x.Table.Key[at] {
			d.out = d.out.Append(v.Form, v.Bytes)
			at++
		}
	}
	return d.out[begin:len(d.out):len(d.out)]
}
