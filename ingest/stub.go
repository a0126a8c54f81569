package ingest

import (
	"fmt"

	"github.com/millrace-io/millrace/internal/expression"
)

// stub knows the records that say that their key was deleted. It is read-only and may be used concurrently; nil knows
// none.
type stub struct {
	when  *expression.Program
	scope *expression.Scope
}

// newStub returns nil without an expression.
func newStub(when string) (*stub, error) {
	if when == "" {
		return nil, nil //nolint:nilnil // as its comment says
	}
	s := &stub{scope: expression.NewScope()}
	var err error
	if s.when, err = s.scope.Compile(when); err != nil {
		return nil, fmt.Errorf("ingest.deletes.when: %w", err)
	}
	return s, nil
}

// stubReader applies a stub, for one goroutine.
type stubReader struct {
	of        *stub
	frame     *expression.Frame
	extractor *expression.Extractor
}

func (s *stub) reader() *stubReader {
	if s == nil {
		return nil
	}
	return &stubReader{s, s.scope.NewFrame(), s.scope.NewExtractor()}
}

// read notes whether a record that is none of the dead letters says that it was deleted. What cannot be told makes it
// one.
func (r *stubReader) read(value []byte, rec *record) {
	if r == nil || rec.reason != "" {
		return
	}
	is, err := r.holds(value)
	if err != nil {
		rec.refuse("ingest.deletes.when", err.Error())
	}
	rec.deleted = is
}

func (r *stubReader) holds(value []byte) (bool, error) {
	if err := r.extractor.Extract(r.frame, value); err != nil {
		return false, err
	}
	v, err := r.of.when.Eval(r.frame)
	if err != nil {
		return false, err
	}
	is, ok := v.True()
	if !ok && !v.Absent() {
		return false, fmt.Errorf("%s is of type %s; it must be true or false", r.of.when, v.Kind())
	}
	return is, nil
}
