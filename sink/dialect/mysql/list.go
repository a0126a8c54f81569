package mysql

import (
	"strings"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// AppendList appends a derived table: VALUES ROW(…), or, before MySQL 8.0.19, which is the first that knows it,
// selections in a UNION ALL (MySQL Reference Manual, "VALUES Statement").
func (m *Dialect) AppendList(dst []byte, columns string, list []rows.Values) []byte {
	before, between, after := "(VALUES ROW(", "), ROW(", "))"
	if m.values {
		names := strings.Split(columns, ", ")
		before = "(SELECT NULL AS " + strings.Join(names, ", NULL AS ") + " FROM DUAL WHERE FALSE UNION ALL SELECT "
		between, after = " UNION ALL SELECT ", ")"
	}
	for i, values := range list {
		if i == 0 {
			dst = append(dst, before...)
		} else {
			dst = append(dst, between...)
		}
		dst = dialect.AppendValues(dst, m, values)
	}
	dst = append(append(dst, after...), " AS m"...)
	if m.values {
		return dst
	}
	return append(append(append(dst, " ("...), columns...), ')')
}
