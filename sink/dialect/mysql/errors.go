package mysql

import (
	"errors"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/sink/dialect"
)

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

// defects are MySQL's errors that every row of the stream would meet, and that need an operator: a table or
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

// Classify tells a row's refusal, and what needs an operator, from what another attempt may change.
func (*Dialect) Classify(err error) error {
	if n := number(err); n != 0 {
		if refusals[n] {
			return &dialect.RefusedError{Err: err}
		}
		if hint, ok := defects[n]; ok {
			return &dialect.DefectError{Err: err, Hint: hint}
		}
	}
	if errors.Is(err, mysql.ErrPktTooLarge) { // one row that is larger than max_allowed_packet
		return &dialect.RefusedError{Err: err}
	}
	return err
}

// Reason says in a word why an attempt failed.
func (*Dialect) Reason(err error) string {
	switch number(err) {
	case 0:
		return dialect.Connection
	case 1205: // ER_LOCK_WAIT_TIMEOUT
		return dialect.LockTimeout
	case 1213: // ER_LOCK_DEADLOCK
		return dialect.Deadlock
	default:
		return dialect.Refused
	}
}

// number is MySQL's error number, or 0.
func number(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}
