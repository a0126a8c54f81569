package mysql

import (
	"errors"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/sink/dialect"
)

// The server's errors are listed where they are not about the rows of a statement. Whatever is not listed here is about
// the rows: what columns, keys, checks, generated columns, partitions and triggers say of values has hundreds of
// numbers, and each release has more. The numbers:
// https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html

// transient are errors that another attempt may not meet.
var transient = map[uint16]bool{
	1030: true, // ER_GET_ERRNO, of the storage engine
	1037: true, // ER_OUTOFMEMORY
	1038: true, // ER_OUT_OF_SORTMEMORY
	1040: true, // ER_CON_COUNT_ERROR
	1041: true, // ER_OUT_OF_RESOURCES
	1053: true, // ER_SERVER_SHUTDOWN
	1135: true, // ER_CANT_CREATE_THREAD
	1152: true, // ER_ABORTING_CONNECTION
	1156: true, // ER_NET_PACKETS_OUT_OF_ORDER
	1158: true, // ER_NET_READ_ERROR
	1159: true, // ER_NET_READ_INTERRUPTED
	1160: true, // ER_NET_ERROR_ON_WRITE
	1161: true, // ER_NET_WRITE_INTERRUPTED
	1180: true, // ER_ERROR_DURING_COMMIT
	1184: true, // ER_NEW_ABORTING_CONNECTION
	1203: true, // ER_TOO_MANY_USER_CONNECTIONS
	1205: true, // ER_LOCK_WAIT_TIMEOUT
	1206: true, // ER_LOCK_TABLE_FULL
	1213: true, // ER_LOCK_DEADLOCK
	1226: true, // ER_USER_LIMIT_REACHED
	1297: true, // ER_GET_TEMPORARY_ERRMSG
	1317: true, // ER_QUERY_INTERRUPTED
	1412: true, // ER_TABLE_DEF_CHANGED
	1613: true, // ER_XA_RBTIMEOUT
	1614: true, // ER_XA_RBDEADLOCK
	1615: true, // ER_NEED_REPREPARE
	1622: true, // ER_WARN_ENGINE_TRANSACTION_ROLLBACK
	1637: true, // ER_TOO_MANY_CONCURRENT_TRXS
	1815: true, // ER_INTERNAL_ERROR, of InnoDB
	1878: true, // ER_TEMP_FILE_WRITE_FAILURE
	3024: true, // ER_QUERY_TIMEOUT
	3100: true, // ER_RUN_HOOK_ERROR, of group replication
	3101: true, // ER_TRANSACTION_ROLLBACK_DURING_COMMIT
	3168: true, // ER_SERVER_ISNT_AVAILABLE
	3169: true, // ER_SESSION_WAS_KILLED
	3572: true, // ER_LOCK_NOWAIT
	4031: true, // ER_CLIENT_INTERACTION_TIMEOUT
}

// The hints of errors that several numbers have.
const (
	account   = "check the user and the password in database.mysql, and that the user may connect from here"
	rights    = "grant the user SELECT, INSERT, UPDATE, DELETE and CREATE on the schema"
	readOnly  = "the server is read-only: the sink continues when it, or the one that takes its place, can be written"
	fullDisk  = "the server's disk is full: make room there"
	damaged   = "repair the table, or restore it"
	attached  = "a trigger, view or routine behind the table is broken: repair or drop it"
	statement = "the server does not take a statement of the sink's: please report it"
)

// servers are errors that are about the server or the account, and need an operator.
var servers = map[uint16]string{
	1021: fullDisk, // ER_DISK_FULL
	1026: fullDisk, // ER_ERROR_ON_WRITE
	1114: fullDisk, // ER_RECORD_FILE_FULL
	1044: rights,   // ER_DBACCESS_DENIED_ERROR
	1045: account,  // ER_ACCESS_DENIED_ERROR
	1129: account,  // ER_HOST_IS_BLOCKED
	1130: account,  // ER_HOST_NOT_PRIVILEGED
	1227: rights,   // ER_SPECIFIC_ACCESS_DENIED_ERROR
	1251: account,  // ER_NOT_SUPPORTED_AUTH_MODE
	1698: account,  // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
	1820: account,  // ER_MUST_CHANGE_PASSWORD
	1862: account,  // ER_MUST_CHANGE_PASSWORD_LOGIN
	3118: account,  // ER_ACCOUNT_HAS_BEEN_LOCKED
	3159: account,  // ER_SECURE_TRANSPORT_REQUIRED
	1046: "name a schema in database.mysql",
	1049: "create the schema, or name another in database.mysql",
	1290: readOnly, // ER_OPTION_PREVENTS_STATEMENT
	1792: readOnly, // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
	1836: readOnly, // ER_READ_ONLY_MODE
	1193: "the server does not know a setting: it is not MySQL 8.0 or later, or a parameter in database.mysql is wrong",
	1665: "set binlog_format = ROW at the server",
}

// tables are errors that every row of a table meets, and that need an operator.
var tables = map[uint16]string{
	1054: "the table, or a trigger of it, has lost a column: add it again",
	1146: "a table was dropped: restore it",
	1142: rights, // ER_TABLEACCESS_DENIED_ERROR
	1143: "grant the user its rights on the column",
	1370: rights,                                                          // ER_PROCACCESS_DENIED_ERROR
	1017: damaged,                                                         // ER_FILE_NOT_FOUND
	1034: damaged,                                                         // ER_NOT_KEYFILE
	1036: damaged,                                                         // ER_OPEN_AS_READONLY
	1194: damaged,                                                         // ER_CRASHED_ON_USAGE
	1195: damaged,                                                         // ER_CRASHED_ON_REPAIR
	1812: damaged,                                                         // ER_TABLESPACE_MISSING
	1814: damaged,                                                         // ER_TABLESPACE_DISCARDED
	1305: attached,                                                        // ER_SP_DOES_NOT_EXIST
	1356: attached,                                                        // ER_VIEW_INVALID
	1422: attached,                                                        // ER_COMMIT_NOT_ALLOWED_IN_SF_OR_TRG
	1442: attached,                                                        // ER_CANT_UPDATE_USED_TABLE_IN_SF_OR_TRG
	1449: attached,                                                        // ER_NO_SUCH_USER, who defined it
	1052: statement,                                                       // ER_NON_UNIQ_ERROR
	1064: statement,                                                       // ER_PARSE_ERROR
	1066: statement,                                                       // ER_NONUNIQ_TABLE
	1110: statement,                                                       // ER_FIELD_SPECIFIED_TWICE
	1136: statement,                                                       // ER_WRONG_VALUE_COUNT_ON_ROW
	3098: "give the table what the server's group replication asks of it", // ER_BEFORE_DML_VALIDATION_ERROR
}

// refusals are well known to be about values, so that nothing has to be asked twice.
var refusals = map[uint16]bool{
	1048: true, // ER_BAD_NULL_ERROR
	1062: true, // ER_DUP_ENTRY, of a unique index that was added later
	1153: true, // ER_NET_PACKET_TOO_LARGE, of one row
	1264: true, // ER_WARN_DATA_OUT_OF_RANGE
	1265: true, // WARN_DATA_TRUNCATED
	1292: true, // ER_TRUNCATED_WRONG_VALUE
	1366: true, // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD
	1406: true, // ER_DATA_TOO_LONG
	1451: true, // ER_ROW_IS_REFERENCED_2
	1452: true, // ER_NO_REFERENCED_ROW_2
	1644: true, // ER_SIGNAL_EXCEPTION, of a trigger
	1690: true, // ER_DATA_OUT_OF_RANGE
	3140: true, // ER_INVALID_JSON_TEXT
	3157: true, // ER_JSON_DOCUMENT_TOO_DEEP
	3819: true, // ER_CHECK_CONSTRAINT_VIOLATED
}

// fileErrors is the number below which errors are about the server's files.
const fileErrors = 1000

// Classify tells a row's refusal, and what needs an operator, from what another attempt may change.
func (*Dialect) Classify(err error) error {
	if errors.Is(err, mysql.ErrPktTooLarge) { // one row that is larger than max_allowed_packet
		return &dialect.RefusedError{Err: err}
	}
	n := number(err)
	if n == 0 || transient[n] || isClassified(err) {
		return err
	}
	if hint, ok := servers[n]; ok {
		return &dialect.DefectError{Err: err, Hint: hint, Server: true}
	}
	if hint, ok := tables[n]; ok {
		return &dialect.DefectError{Err: err, Hint: hint}
	}
	if n < fileErrors {
		return &dialect.DefectError{Err: err, Hint: fullDisk + ", or look at its error log", Server: true}
	}
	return &dialect.RefusedError{Err: err, Doubtful: !refusals[n]}
}

func isClassified(err error) bool {
	if _, ok := errors.AsType[*dialect.RefusedError](err); ok {
		return true
	}
	_, ok := errors.AsType[*dialect.DefectError](err)
	return ok
}

// Missing is ER_NO_SUCH_TABLE.
func (*Dialect) Missing(err error) bool { return number(err) == 1146 }

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
