package steps

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/internal/canonical"
	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/transform"
)

// transformer puts another record in the place of the one in hand. It stands before the first step that makes columns:
// names are the record's own, before it and after it.
type transformer struct {
	do    transform.Func
	label string
}

func compileTransform(b *builder, s *pipeline.Step) step {
	if s.Transform == nil {
		return nil
	}
	t := &transformer{transform.Lookup(s.Transform.Name, s.Transform.Version), b.label("transform")}
	switch {
	case b.level() > 0:
		b.use(t.label)(nil, errors.New("a transform is given the record: it stands before the first map"))
	case t.do == nil:
		b.use(t.label)(nil, missing(s.Transform))
	}
	return t
}

// missing says which transforms there are.
func missing(want *pipeline.Transform) error {
	all := transform.Registered()
	if len(all) == 0 {
		return fmt.Errorf("this binary has no transform %s, nor any other: one that has is built in Go, see package transform", want)
	}
	return fmt.Errorf("this binary has no transform %s; it has %s", want, strings.Join(all, ", "))
}

func (t *transformer) apply(r *Runner, next int) error {
	made, err := t.call(r.value)
	if err != nil {
		return &RefusedError{t.label, err}
	}
	if made == nil {
		r.drop(false)
		return nil
	}
	if err := r.replace(made); err != nil {
		return &RefusedError{t.label, fmt.Errorf("its result: %w", err)}
	}
	return r.run(next)
}

// call turns a panic into an error: one record must not stop all others.
func (t *transformer) call(record []byte) (made []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			made, err = nil, fmt.Errorf("it panics: %v", p)
		}
	}()
	return t.do(record)
}

// replace puts another record in the place of the one in hand. What makes the raw key must be the same in both.
func (r *Runner) replace(made []byte) error {
	was, err := r.watch.values(r.value)
	if err != nil {
		return err
	}
	is, err := r.watch.values(made)
	if err != nil {
		return err
	}
	for i := range was {
		if !bytes.Equal(was[i], is[i]) {
			return fmt.Errorf("it has %s in the place of %s as %s, which is in the raw key", is[i], was[i], strings.Join(r.watch.paths[i], "."))
		}
	}
	r.value = made
	if err := r.extractor.Extract(r.frames[0], made); err != nil {
		return err
	}
	if r.chain.slice >= 0 {
		r.frames[0].Slots[r.chain.slice] = expression.Text(r.slice)
	}
	if len(r.unseen) > 0 {
		r.look()
	}
	return r.canonical()
}

// keyWatch finds the values that a raw key is made of.
type keyWatch struct {
	extractor *expression.Extractor
	frame     *expression.Frame
	paths     [][]string
	slots     []int
}

// newKeyWatch takes paths of fields. A path may stand for one name with dots in it: see pipeline.PathTakes.
func newKeyWatch(paths [][]string) *keyWatch {
	w := &keyWatch{}
	scope := expression.NewScope()
	for _, path := range paths {
		if slices.Equal(path, []string{pipeline.SliceField}) {
			continue
		}
		w.paths, w.slots = append(w.paths, path), append(w.slots, scope.Slot(path))
		if len(path) > 1 {
			whole := []string{strings.Join(path, ".")}
			w.paths, w.slots = append(w.paths, whole), append(w.slots, scope.Slot(whole))
		}
	}
	w.extractor, w.frame = scope.NewExtractor(), scope.NewFrame()
	return w
}

// values are those of a record, by path, with numbers in their one spelling.
func (w *keyWatch) values(record []byte) ([][]byte, error) {
	if err := w.extractor.Extract(w.frame, record); err != nil {
		return nil, err
	}
	out := make([][]byte, len(w.slots))
	for i, slot := range w.slots {
		v := w.frame.Slots[slot]
		if v.Kind() == expression.Missing {
			out[i] = []byte("nothing")
			continue
		}
		out[i] = v.AppendJSON(nil)
		if v.Kind() == expression.Number {
			out[i] = canonical.AppendNumber(nil, out[i])
		}
	}
	return out, nil
}
