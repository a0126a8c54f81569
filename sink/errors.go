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
	Open       []string // those of them that nobody owns: a command has taken them back, or who took them over let them go
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
	Also       []int32 // other partitions of the topic whose positions are lost
	Remedy     string  // the command that has the stream go on
}

func (e *PositionError) Error() string {
	where := fmt.Sprintf("%s[%d]", e.Topic, e.Partition)
	if len(e.Also) > 0 {
		where += fmt.Sprintf(" and its partitions %v", e.Also)
	}
	why := "retention took records that were not written yet"
	if e.Next > e.End && e.End >= 0 {
		why = "the log is older than the database: it lost its end, or Kafka came back from a backup"
	}
	return fmt.Sprintf("%s: the database continues at offset %d, the log holds %d to %d: %s. What puts it right: %s",
		where, e.Next, e.Start, e.End, why, e.Remedy)
}

// OwnerError says that a table is not written, because others write it.
type OwnerError struct {
	Table string
	Owner string // who writes it, for people
	// Remedy is what to do if it is to be this stream's.
	Remedy string
}

func (e *OwnerError) Error() string {
	return fmt.Sprintf("table %s: %s; give this stream another table, or, if it alone is to write this one from now on: %s. "+
		"What its processed topic holds then replaces the rows", e.Table, e.Owner, e.Remedy)
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
