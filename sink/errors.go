package sink

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
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

// serverError says that the database is one that the sink cannot write to.
type serverError struct{ version string }

func (e *serverError) Error() string {
	return fmt.Sprintf("database.mysql: the server is %s; the sink needs MySQL 8.0 or later", e.version)
}

// rejectedError says that the database, or our conversion, refuses a row for good.
type rejectedError struct{ err error }

func (e *rejectedError) Error() string { return e.err.Error() }
func (e *rejectedError) Unwrap() error { return e.err }

// refusals are MySQL's errors that are about a row's values: another attempt gives the same answer, and other rows
// may go in. https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
var refusals = map[uint16]bool{
	1048: true, // ER_BAD_NULL_ERROR
	1118: true, // ER_TOO_BIG_ROWSIZE
	1138: true, // ER_INVALID_USE_OF_NULL
	1263: true, // ER_WARN_NULL_TO_NOTNULL
	1300: true, // ER_INVALID_CHARACTER_STRING
	1062: true, // ER_DUP_ENTRY, of a unique index that was added later
	1153: true, // ER_NET_PACKET_TOO_LARGE, of one row
	1264: true, // ER_WARN_DATA_OUT_OF_RANGE
	1265: true, // WARN_DATA_TRUNCATED
	1292: true, // ER_TRUNCATED_WRONG_VALUE
	1364: true, // ER_NO_DEFAULT_FOR_FIELD
	1366: true, // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD
	1367: true, // ER_ILLEGAL_VALUE_FOR_TYPE
	1406: true, // ER_DATA_TOO_LONG
	1411: true, // ER_WRONG_VALUE_FOR_TYPE
	1416: true, // ER_CANT_CREATE_GEOMETRY_OBJECT
	1441: true, // ER_DATETIME_FUNCTION_OVERFLOW
	1451: true, // ER_ROW_IS_REFERENCED_2
	1452: true, // ER_NO_REFERENCED_ROW_2
	1526: true, // ER_NO_PARTITION_FOR_GIVEN_VALUE
	1644: true, // ER_SIGNAL_EXCEPTION, of a trigger
	1690: true, // ER_DATA_OUT_OF_RANGE
	3140: true, // ER_INVALID_JSON_TEXT
	3141: true, // ER_INVALID_JSON_TEXT_IN_PARAM
	3157: true, // ER_JSON_DOCUMENT_TOO_DEEP
	3819: true, // ER_CHECK_CONSTRAINT_VIOLATED
	4025: true, // ER_CONSTRAINT_FAILED, MariaDB
}

// defects are MySQL's errors that every row of the stream would meet, and that only a person mends: a table or
// column that is gone, or a right.
var defects = map[uint16]string{
	1044: "grant the user its rights on the schema",
	1045: "check the user and the password in database.mysql",
	1049: "create the schema, or name another in database.mysql",
	1142: "grant the user SELECT, INSERT, UPDATE, DELETE and CREATE on the schema",
	1143: "grant the user its rights on the column",
	1054: "the table has lost a column: add it again",
	1146: "a table was dropped while the sink ran: start the sink again to have it created",
}

// classify tells a row's refusal from what another attempt may mend.
func classify(err error) error {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		if refusals[e.Number] {
			return &rejectedError{err}
		}
		if hint, ok := defects[e.Number]; ok {
			return &defectError{err, hint}
		}
	}
	if errors.Is(err, mysql.ErrPktTooLarge) || sqliteRefusal(err) { // one row that is larger than max_allowed_packet
		return &rejectedError{err}
	}
	return err
}

// defectError says what a person must mend. The sink keeps trying: it may be mended while it runs.
type defectError struct {
	err  error
	hint string
}

func (e *defectError) Error() string { return e.err.Error() + "; " + e.hint }
func (e *defectError) Unwrap() error { return e.err }

// mysqlNumber is MySQL's error number, or 0.
func mysqlNumber(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}
