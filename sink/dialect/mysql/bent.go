package mysql

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// ignorable are errors of which INSERT IGNORE makes warnings (MySQL Reference Manual, "The Effect of IGNORE on
// Statement Execution"), and what it does to the row: it stores another value, or leaves the row out.
var ignorable = map[uint16]struct {
	state [5]byte // SQL state
	out   bool
}{
	1264:          {[5]byte{'2', '2', '0', '0', '3'}, false}, // ER_WARN_DATA_OUT_OF_RANGE
	dataTruncated: {[5]byte{'0', '1', '0', '0', '0'}, false}, // of a text too long a strict INSERT says dataTooLong
	wrongValue:    {[5]byte{'2', '2', '0', '0', '7'}, false},
	1366:          {[5]byte{'H', 'Y', '0', '0', '0'}, false}, // ER_TRUNCATED_WRONG_VALUE_FOR_FIELD
	dataTooLong:   {[5]byte{'2', '2', '0', '0', '1'}, false},
	1048:          {[5]byte{'2', '3', '0', '0', '0'}, false}, // ER_BAD_NULL_ERROR
	duplicate:     {[5]byte{'2', '3', '0', '0', '0'}, true},
	1451:          {[5]byte{'2', '3', '0', '0', '0'}, true}, // ER_ROW_IS_REFERENCED_2
	1452:          {[5]byte{'2', '3', '0', '0', '0'}, true}, // ER_NO_REFERENCED_ROW_2
	3819:          {[5]byte{'H', 'Y', '0', '0', '0'}, true}, // ER_CHECK_CONSTRAINT_VIOLATED
}

const (
	dataTruncated = 1265 // WARN_DATA_TRUNCATED
	dataTooLong   = 1406 // ER_DATA_TOO_LONG
	wrongValue    = 1292 // ER_TRUNCATED_WRONG_VALUE
	duplicate     = 1062 // ER_DUP_ENTRY
)

// numberText and a number are in the warning that the first value of a row makes. So the warnings between two such ones
// are about the row that the first of them names. MySQL itself names rows in few messages, and wrongly after a row that
// it left out.
const numberText = "millrace row "

var numbered = regexp.MustCompile(`'` + numberText + `(\d+)'$`)

// named is the end of a message that names a column and a row.
var named = regexp.MustCompile(`(?s)^.*( for column '.*' at row )(\d+)$`)

// bend begins an INSERT IGNORE. The version comes first, so that its warning does.
func bend(t *rows.Table) string {
	names := strings.TrimSuffix(dialect.ColumnNames(t), ", "+rows.VersionColumn)
	return fmt.Sprintf("INSERT IGNORE INTO %s (%s, %s) VALUES ", dialect.Quote(t.Name), rows.VersionColumn, names)
}

// appendBend appends the literals of x's row, numbered.
func (m *Dialect) appendBend(dst []byte, row int, x *rows.Change) []byte {
	dst = strconv.AppendInt(append(dst, "(IF(CAST('"+numberText...), int64(row), 10)
	dst = dialect.AppendHex(append(dst, "' AS SIGNED), NULL, "...), x.Version[:])
	return append(dialect.AppendValues(append(dst, "),"...), m, x.Row), ')')
}

// bent reads what the statement before, an INSERT IGNORE of n rows, has done to them. It reports false if the server
// does not tell of all: it keeps max_error_count warnings of a statement, which an ordinary account cannot set.
func bent(ctx context.Context, s *dialect.Session, n int) (list []dialect.Bent, whole bool, err error) {
	var made int
	if err := s.QueryRowContext(ctx, "SHOW COUNT(*) WARNINGS").Scan(&made); err != nil {
		return nil, false, err
	}
	found, err := s.QueryContext(ctx, "SHOW WARNINGS")
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = found.Close() }()
	row, all, ended := -1, 0, false
	for ; found.Next(); all++ {
		var level, message string
		var code uint16
		if err := found.Scan(&level, &code, &message); err != nil {
			return nil, false, err
		}
		if at := numbered.FindStringSubmatch(message); at != nil && code == wrongValue && level == "Warning" {
			if row++; at[1] != strconv.Itoa(row) {
				return nil, false, found.Close()
			}
			continue
		}
		if row < 0 {
			return nil, false, found.Close()
		}
		ended = level == "Error"
		b := bentRow(code, message)
		b.Row, b.Ended = row, ended
		list = append(list, b)
	}
	return list, all == made && (ended || row == n-1), found.Err()
}

// bentRow reads a warning. Of the row alone the server says that it is the first.
func bentRow(code uint16, message string) dialect.Bent {
	b := dialect.Bent{Class: fmt.Sprint(code, message)}
	as, ok := ignorable[code]
	if !ok {
		return b
	}
	b.Out = as.out
	refuse := func(code uint16, message string) {
		b.Refusals = append(b.Refusals, &mysql.MySQLError{Number: code, SQLState: ignorable[code].state, Message: message})
	}
	if at := named.FindStringSubmatchIndex(message); at != nil {
		where := message[at[2]:at[3]]
		b.Class = fmt.Sprint(code, where)
		refuse(code, message[:at[4]]+"1")
		if code == dataTruncated {
			refuse(dataTooLong, "Data too long"+where+"1")
		}
		return b
	}
	if at := strings.LastIndex(message, " for key "); code == duplicate && at >= 0 {
		b.Class = fmt.Sprint(code, message[at:])
	}
	refuse(code, message)
	return b
}

// spared reads for what the statement before, a DELETE IGNORE, has spared rows.
func spared(ctx context.Context, s *dialect.Session) (refusal, err error) {
	found, err := s.QueryContext(ctx, "SHOW WARNINGS")
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	class := ""
	for found.Next() {
		var level, message string
		var code uint16
		if err := found.Scan(&level, &code, &message); err != nil {
			return nil, err
		}
		b := bentRow(code, message)
		if !b.Out || level != "Warning" || class != "" && b.Class != class {
			return nil, found.Close()
		}
		class, refusal = b.Class, b.Refusals[0]
	}
	return refusal, found.Err()
}
