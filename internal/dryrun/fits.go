package dryrun

import (
	"fmt"
	"math/big"
	"strings"
	"unicode/utf8"

	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/sink/rows"
)

// Fits says why MySQL in strict mode would refuse a value of a column of that type, or keep less than all of it; empty:
// it fits. It knows lengths and ranges, which the sink leaves to the database.
func Fits(t columntype.Type, v rows.Value) string {
	if v.Form == rows.Null {
		return ""
	}
	text := string(v.Bytes)
	switch t.Kind() {
	case columntype.Text, columntype.Binary:
		return fitsLength(t, text)
	case columntype.Integer, columntype.Boolean:
		return fitsInteger(t, text)
	case columntype.Decimal:
		return fitsDecimal(t, text)
	default:
	}
	return ""
}

// most is how many bytes types without a length hold.
var most = map[string]int{
	"tinytext": 1<<8 - 1, "text": 1<<16 - 1, "mediumtext": 1<<24 - 1, "tinyblob": 1<<8 - 1, "blob": 1<<16 - 1, "mediumblob": 1<<24 - 1,
}

func fitsLength(t columntype.Type, text string) string {
	n, limit, unit := len(text), most[t.Name()], "bytes"
	if limit == 0 {
		if limit = t.Length(); t.Kind() == columntype.Text {
			n, unit = utf8.RuneCountInString(text), "characters"
		}
	}
	if limit > 0 && n > limit {
		return fmt.Sprintf("it has %d %s; %s holds %d", n, unit, t, limit)
	}
	return ""
}

func fitsInteger(t columntype.Type, text string) string {
	n, ok := new(big.Int).SetString(text, 10)
	bits := map[string]uint{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64, "boolean": 8}[t.Name()]
	if !ok || bits == 0 {
		return ""
	}
	least, highest := new(big.Int), new(big.Int).Lsh(big.NewInt(1), bits)
	if !strings.HasSuffix(t.String(), "unsigned") {
		highest.Rsh(highest, 1)
		least.Neg(highest)
	}
	if n.Cmp(least) < 0 || n.Cmp(highest) >= 0 {
		return fmt.Sprintf("it is out of the range of %s", t)
	}
	return ""
}

func fitsDecimal(t columntype.Type, text string) string {
	whole, fraction, _ := strings.Cut(strings.TrimLeft(text, "-+"), ".")
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	switch {
	case strings.ContainsAny(text, "eE"):
		return ""
	case len(whole) > t.Length()-t.Places():
		return fmt.Sprintf("it has %d digits before the point; %s holds %d", len(whole), t, t.Length()-t.Places())
	case len(fraction) > t.Places():
		return fmt.Sprintf("it has %d digits behind the point; %s keeps %d", len(fraction), t, t.Places())
	}
	return ""
}
