package steps

import (
	"fmt"

	"github.com/millrace-io/millrace/internal/expression"
)

// Runner runs a chain, record by record. One goroutine may use it at a time.
type Runner struct {
	chain     *Chain
	extractor *expression.Extractor
	frames    []*expression.Frame  // by level
	values    [][]expression.Value // by level: the columns that it makes

	// What becomes of the record in hand.
	dst     []byte // the rows so far
	rows    [][]byte
	dropped bool // by a step that may let another revision through
	never   bool // by one that lets no revision through

	trace   func(next int) // told of a record before each step, and after the last; nil: nobody looks
	scratch []byte
	number  []byte
	unseen  []int // indexes of the chain's fields that no record of this runner has had

	// For transforms.
	value []byte    // the record: as it came, or as the last transform made it
	slice []byte    // the name of its slice
	watch *keyWatch // nil: there are none
}

// Runner returns a runner of c.
func (c *Chain) Runner() *Runner {
	r := &Runner{chain: c, extractor: c.levels[0].scope.NewExtractor(), unseen: c.fields.unseen()}
	for i := range c.levels {
		r.frames = append(r.frames, c.levels[i].scope.NewFrame())
		r.values = append(r.values, make([]expression.Value, len(c.levels[i].columns)))
	}
	if c.transforms {
		r.watch = newKeyWatch(c.key.raw)
	}
	return r
}

// Apply runs the steps over the value of a record, a JSON object, that comes from the slice of that name. The rows are
// appended to dst, and are valid until the next call. Neither dst nor value is kept. The error is a *[RefusedError]:
// this record can never be processed; it goes to the dead-letter topic.
func (r *Runner) Apply(dst, value, slice []byte) (Outcome, error) {
	if err := r.extractor.Extract(r.frames[0], value); err != nil {
		return Outcome{}, &RefusedError{"record", err}
	}
	if r.chain.slice >= 0 {
		r.frames[0].Slots[r.chain.slice] = expression.Text(slice)
	}
	if len(r.unseen) > 0 {
		r.look()
	}
	if err := r.canonical(); err != nil {
		return Outcome{}, err
	}
	r.dst, r.rows, r.dropped, r.never = dst, r.rows[:0], false, false
	r.value, r.slice = value, slice
	err := r.run(0)
	r.dst, r.value, r.slice = nil, nil, nil
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{Rows: r.rows, Never: len(r.rows) == 0 && r.never && !r.dropped}, nil
}

// run goes on with step i; after the last one the record in hand is a row.
func (r *Runner) run(i int) error {
	if r.trace != nil {
		r.trace(i)
	}
	if i < len(r.chain.steps) {
		return r.chain.steps[i].apply(r, i+1)
	}
	columns, err := r.lastColumns()
	if err != nil {
		return err
	}
	start := len(r.dst)
	r.dst = appendObject(r.dst, r.chain.levels[len(r.chain.levels)-1].columns, columns)
	r.rows = append(r.rows, r.dst[start:])
	return nil
}

// drop ends the record in hand without a row. once: no revision of it can have one.
func (r *Runner) drop(once bool) {
	r.never = r.never || once
	r.dropped = r.dropped || !once
}

// descend fills the slots of level i from the columns that the level before made.
func (r *Runner) descend(i int) {
	if i == len(r.frames) {
		return
	}
	frame, columns := r.frames[i], r.values[i-1]
	frame.Reset()
	for slot, w := range r.chain.levels[i].wants {
		if w.column >= 0 {
			frame.Slots[slot] = expression.Descend(columns[w.column].Present(), w.path)
			continue
		}
		frame.Slots[slot] = expression.JSON(appendObject(nil, r.chain.levels[i-1].columns, columns))
	}
}

// lastColumns are the columns of the row. It refuses a record whose key columns are not all there: no row could be
// found again by them.
func (r *Runner) lastColumns() ([]expression.Value, error) {
	columns, key := r.values[len(r.values)-1], &r.chain.key
	for i, c := range key.columns {
		if columns[c].Absent() {
			return nil, &RefusedError{"sink.columns." + key.names[i], fmt.Errorf("the key column %s is %s", key.names[i], columns[c].Kind())}
		}
		if rounds(key.types[i].Kind()) {
			if err := keeps(key.names[i], key.types[i], columns[c], &r.scratch); err != nil {
				return nil, &RefusedError{"sink.columns." + key.names[i], err}
			}
		}
	}
	return columns, nil
}
