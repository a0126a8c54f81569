package sink

import (
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/sink/rows"
)

// FencedError says that partitions have another owner, or another position than ours: a process that took them over
// has gone on. Nothing was written.
type FencedError struct {
	Partitions []string // topic[partition]
}

func (e *FencedError) Error() string {
	return "fenced: another sink has taken over " + strings.Join(e.Partitions, ", ")
}

// PositionError says that the position in the database is not in the topic. Going on anywhere else would lose
// records or apply them twice, so a person decides.
type PositionError struct {
	Topic      string
	Partition  int32
	Next       int64   // stored
	Start, End int64   // of the partition's log
	Recreated  bool    // the topic is another one than the rows came from
	Also       []int32 // other partitions of the topic whose positions are lost
}

func (e *PositionError) Error() string {
	what := fmt.Sprintf("the database goes on at offset %d, the log holds %d to %d", e.Next, e.Start, e.End)
	remedy := "process the raw topic again into a new table, or, if what is missing does not matter, delete this partition's row"
	where := fmt.Sprintf("%s[%d]", e.Topic, e.Partition)
	if len(e.Also) > 0 {
		where += fmt.Sprintf(" and its partitions %v", e.Also)
		remedy += ", and theirs,"
	}
	if e.Recreated {
		where = e.Topic
		what = "the topic was deleted and made again since the rows were written"
		remedy = "if its records are the ones to go on with, delete this topic's rows"
	}
	return fmt.Sprintf("%s: %s; %s from millrace_offsets", where, what, remedy)
}

// TableError says why a table cannot be written until it, or the pipeline file, is put right.
type TableError struct {
	Table    string
	Problems []string // of what it is, each with its remedy
	Err      error    // or what the database answered
}

// Unwrap returns Err.
func (e *TableError) Unwrap() error { return e.Err }

func (e *TableError) Error() string {
	if e.Err != nil {
		return "table " + e.Table + ": " + e.Err.Error()
	}
	if len(e.Problems) == 1 {
		return "table " + e.Table + ": " + e.Problems[0]
	}
	return "table " + e.Table + " does not fit the pipeline file:\n  " + strings.Join(e.Problems, "\n  ")
}

// faultError is what the database answered to a statement of a writer that only concerns one table.
type faultError struct {
	table *rows.Table
	err   error
}

func (e *faultError) Error() string { return e.err.Error() }

func (e *faultError) Unwrap() error { return e.err }
