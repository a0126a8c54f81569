package sink

import (
	"fmt"
	"strings"
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
	Next       int64 // stored
	Start, End int64 // of the partition's log
	Recreated  bool  // the topic is another one than the rows came from
}

func (e *PositionError) Error() string {
	what := fmt.Sprintf("the database goes on at offset %d, the log holds %d to %d", e.Next, e.Start, e.End)
	remedy := "process the raw topic again into a new table, or, if what is missing does not matter, delete this partition's row"
	if e.Recreated {
		what = "the topic was deleted and made again since the rows were written"
		remedy = "if its records are the ones to go on with, delete this topic's rows"
	}
	return fmt.Sprintf("%s[%d]: %s; %s from millrace_offsets and start again", e.Topic, e.Partition, what, remedy)
}

// TableError says that a table does not fit the pipeline.
type TableError struct {
	Table    string
	Problems []string // each with its remedy
}

func (e *TableError) Error() string {
	return "table " + e.Table + " does not fit the pipeline file:\n  " + strings.Join(e.Problems, "\n  ")
}
