package mysql

import (
	"context"
	"regexp"
	"strconv"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/sink/dialect"
)

// bendable are the errors that a value alone is refused for when it is stored in a column, with their SQL states. INSERT IGNORE makes warnings of them
// (MySQL Reference Manual, "The Effect of IGNORE on Statement Execution").
var bendable = map[uint16][5]byte{
	1264:          {'2', '2', '0', '0', '3'}, // ER_WARN_DATA_OUT_OF_RANGE
	dataTruncated: {'0', '1', '0', '0', '0'}, // of a text too long a strict INSERT says dataTooLong
	1292:          {'2', '2', '0', '0', '7'}, // ER_TRUNCATED_WRONG_VALUE
	1366:          {'H', 'Y', '0', '0', '0'}, // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD
	dataTooLong:   {'2', '2', '0', '0', '1'},
}

const (
	dataTruncated = 1265 // WARN_DATA_TRUNCATED
	dataTooLong   = 1406 // ER_DATA_TOO_LONG
)

// named is a message that names a column and a row.
var named = regexp.MustCompile(`(?s)^.*( for column '.*' at row )(\d+)$`)

// bent reads which rows the statement before has bent. It returns none if a warning is about anything else, or is not there because
// the server keeps max_error_count of them: a row that is left out, for a check or an index, is not counted by the server, and those
// after it are named wrongly.
func bent(ctx context.Context, s *dialect.Session) ([]dialect.Bent, error) {
	var all int
	if err := s.QueryRowContext(ctx, "SHOW COUNT(*) WARNINGS").Scan(&all); err != nil || all == 0 {
		return nil, err
	}
	found, err := s.QueryContext(ctx, "SHOW WARNINGS")
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	var out []dialect.Bent
	for found.Next() {
		var level, message string
		var code uint16
		if err := found.Scan(&level, &code, &message); err != nil {
			return nil, err
		}
		b, ok := bentRow(code, message)
		if !ok || level != "Warning" {
			return nil, nil
		}
		out = append(out, b)
	}
	if len(out) != all {
		out = nil
	}
	return out, found.Err()
}

// bentRow reads a warning. Of the row alone the server says that it is the first.
func bentRow(code uint16, message string) (dialect.Bent, bool) {
	parts := named.FindStringSubmatchIndex(message)
	state, ok := bendable[code]
	if !ok || parts == nil {
		return dialect.Bent{}, false
	}
	row, err := strconv.Atoi(message[parts[4]:])
	if err != nil || row < 1 {
		return dialect.Bent{}, false
	}
	where := message[parts[2]:parts[3]]
	b := dialect.Bent{
		Row: row - 1, Class: strconv.Itoa(int(code)) + where,
		Refusals: []error{&mysql.MySQLError{Number: code, SQLState: state, Message: message[:parts[4]] + "1"}},
	}
	if code == dataTruncated {
		long := &mysql.MySQLError{Number: dataTooLong, SQLState: bendable[dataTooLong], Message: "Data too long" + where + "1"}
		b.Refusals = append(b.Refusals, long)
	}
	return b, true
}
