package tool

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/expression"
)

// recordFilter is a condition on the values of records, in the language of the pipeline file. It is for one goroutine.
type recordFilter struct {
	program   *expression.Program
	extractor *expression.Extractor
	frame     *expression.Frame
	failed    int   // records of which it cannot be told
	why       error // of the first of them
}

// newRecordFilter compiles a condition; nil, which takes all records, if it is empty.
func newRecordFilter(source string) (*recordFilter, error) {
	if source == "" {
		return nil, nil //nolint:nilnil // no condition
	}
	scope := expression.NewScope()
	program, err := scope.Compile(source)
	if err == nil {
		err = program.Condition()
	}
	if err != nil {
		return nil, &cli.UsageError{Err: fmt.Errorf("--filter: %w", err)}
	}
	return &recordFilter{program: program, extractor: scope.NewExtractor(), frame: scope.NewFrame()}, nil
}

// takes reports whether a value meets the condition, or, of several rows, one of them. A tombstone does not.
func (f *recordFilter) takes(value []byte) bool {
	switch {
	case f == nil:
		return true
	case value == nil:
		return false
	}
	rows := [][]byte{value}
	if bytes.HasPrefix(bytes.TrimSpace(value), []byte("[")) {
		elements, err := expression.Elements(value)
		if err != nil {
			return f.fail(err)
		}
		rows = rows[:0]
		for _, e := range elements {
			rows = append(rows, e)
		}
	}
	return slices.ContainsFunc(rows, f.meets)
}

func (f *recordFilter) meets(row []byte) bool {
	if err := f.extractor.Extract(f.frame, row); err != nil {
		return f.fail(err)
	}
	v, err := f.program.Eval(f.frame)
	if err != nil {
		return f.fail(err)
	}
	is, ok := v.True()
	if !ok {
		return f.fail(fmt.Errorf("%s gave %s; a filter needs true or false", f.program, v.Kind()))
	}
	return is
}

func (f *recordFilter) fail(err error) bool {
	if f.failed++; f.why == nil {
		f.why = err
	}
	return false
}

// tell says of how many records the condition could not be told.
func (f *recordFilter) tell(out io.Writer) {
	if f != nil && f.failed > 0 {
		_, _ = fmt.Fprintf(out, "%s not shown, of which the filter cannot be told: %v\n", count(f.failed, "record"), f.why)
	}
}
