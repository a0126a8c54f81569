//go:build integration

package sink

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/pipeline"
)

// arriving are column types, of which the name says how their values are compared.
var arriving = []string{
	"bigint", "int", "smallint", "tinyint", "bigint unsigned", "int unsigned", "boolean", "year", "decimal(20,4)", "decimal(65,30)", "decimal(5,0)",
	"double", "float", "varchar(20)", "char(5)", "datetime", "datetime(3)", "timestamp(6)", "date", "time", "time(2)",
}

// awkward are JSON values that databases and scripts are known to bend.
var awkward = []string{
	`0`, `-0`, `0.0`, `-0.0`, `1`, `-1`, `12.50`, `1e2`, `1e-2`, `0.00005`, `-0.00005`, `0.12345`, `0.49999999999999999999999999999999999`,
	`1e100`, `1` + strings.Repeat("0", 100), `1e400`, `1e-320`, `1e-400`, `3.4e38`, `3.5e38`, `16777217`, `0.1`, `9007199254740993`,
	`9223372036854775807`, `9223372036854775808`, `18446744073709551615`, `18446744073709551616`, `-9223372036854775808`, `-9223372036854775809`,
	`99999.5`, `99999`, `127`, `128`, `255`, `256`, `300`, `1900`, `1901`, `2155`, `2156`, `24`, `2024`, `true`, `false`, `{"a":1}`, `[1]`,
	`12345678901234567890123456789012345.678901234567890123456789012345`, `99999999999999999999999999999999999.9`,
	`""`, `" "`, `"0"`, `"00"`, `" 7 "`, `"007"`, `"-0"`, `"+7"`, `"1e2"`, `"0x10"`, `"1,5"`, `"12 apples"`, `"NaN"`, `"Infinity"`, `"true"`, `"NULL"`, `"\\N"`,
	`"24"`, `"2024"`, `"0000"`, `"1711121011"`, `"20240229"`, `"31.12.24"`, `"01/02/03"`, `"10:11:12"`, `"10:11"`, `"1:2:3"`, `"-10:11:12"`, `"838:59:59"`,
	`"839:00:00"`, `"101112"`, `"3 10:11:12"`, `"2024-02-29"`, `"2024-02-30"`, `"24-02-29"`, `"2024-2-9"`, `"0000-00-00"`, `"0001-01-01"`, `"9999-12-31"`,
	`"2024-02-29T23:59:59Z"`, `"2024-02-29T23:59:59.5Z"`, `"2024-02-29T23:59:59.123456789Z"`, `"2024-02-29 23:59:59"`, `"2024-02-29T23:59:59+05:30"`,
	`"2024-02-29T23:59:59-0800"`, `"2024-02-29 23:59:59 EST"`, `"2024-02-29 23:59:59 UTC"`, `"2024-02-29T24:00:00Z"`, `"2024-02-29T23:59:60Z"`,
	`"9999-12-31T23:59:59.9Z"`, `"2038-01-19T03:14:07.999999Z"`, `"2038-01-19T03:14:08Z"`, `"1970-01-01T00:00:00Z"`, `"1969-12-31T23:59:59Z"`,
	`"a"`, `"abcde"`, `"abcdef"`, `"é😀'\"\\,"`, `"tail   "`, `"a\u0000b\u001a\n\r\t"`,
}

// TestWhatArrivesIsTheValue writes every awkward value into every type, by INSERT and by LOAD DATA: what is in the
// table is the value, or there is a letter; and both ways agree.
func TestWhatArrivesIsTheValue(t *testing.T) {
	values := awkward
	for range 300 { // of any length, with and without an exponent
		number := fmt.Sprintf("%d.%s", rand.Int64N(int64(math.Pow10(rand.IntN(19)))), strings.Repeat(strconv.Itoa(rand.IntN(1000)), 1+rand.IntN(12)))
		if rand.IntN(2) == 0 {
			number = fmt.Sprintf("%se%d", number, rand.IntN(80)-40)
		}
		values = append(values, "-"[rand.IntN(2):]+number)
	}
	var events []event
	of := map[string][2]string{} // type and value, by key
	for i, typ := range arriving {
		for _, v := range values {
			key := fmt.Sprint(len(events))
			events = append(events, event{int64(len(events)), 0, key, map[string]any{fmt.Sprint("c", i): json.RawMessage(v)}})
			of[key] = [2]string{typ, v}
		}
	}
	both := map[bool]map[string]string{}
	for _, fast := range []bool{true, false} {
		p := onMySQLWithLoads(t)
		p.Streams[0].Sink.Columns = []pipeline.ColumnType{{Name: "id", Type: "varchar(20)", Key: true, NotNull: true}}
		var shown []string
		for i, typ := range arriving {
			name := fmt.Sprint("c", i)
			p.Streams[0].Sink.Columns = append(p.Streams[0].Sink.Columns, pipeline.ColumnType{Name: name, Type: typ})
			switch typ {
			case "float":
				name = "CAST(" + name + " AS DOUBLE)"
			case "varchar(20)", "char(5)":
				name = "HEX(" + name + ")"
			}
			shown = append(shown, name)
		}
		f := newFixture(t, p, false)
		if !fast {
			f.store.upserts[f.table] = insertOnly(f)
		}
		for len(events) > 0 && f.offset < int64(len(events)) {
			f.apply(events[f.offset:min(int(f.offset)+1000, len(events))]...)
		}
		if n := f.loads(); (n > 0) != fast {
			t.Errorf("%d times LOAD DATA, want it: %t", n, fast)
		}
		both[fast] = f.column("COALESCE(" + strings.Join(shown, ", ") + ")")
	}
	if d := cmp.Diff(both[false], both[true]); d != "" {
		t.Errorf("by INSERT and by LOAD DATA (-insert +load):\n%s", d)
	}
	stored := map[string]int{}
	for key, got := range both[false] {
		stored[of[key][0]]++
		if !arrives(of[key][0], of[key][1], got) {
			t.Errorf("%s of %s became %s", of[key][0], of[key][1], got)
		}
	}
	for _, typ := range arriving {
		if stored[typ] == 0 {
			t.Errorf("no value arrived in %s", typ)
		}
	}
}

// times are what the awkward texts say, as datetime(6), or as time(6) if they are no moment.
var times = map[string]string{
	"2024-02-29": "2024-02-29 00:00:00", "0001-01-01": "0001-01-01 00:00:00", "9999-12-31": "9999-12-31 00:00:00",
	"2024-02-29T23:59:59Z": "2024-02-29 23:59:59", "2024-02-29T23:59:59.5Z": "2024-02-29 23:59:59.5", "2024-02-29 23:59:59": "2024-02-29 23:59:59",
	"2024-02-29T23:59:59.123456789Z": "2024-02-29 23:59:59.123456", "2024-02-29T23:59:59+05:30": "2024-02-29 18:29:59",
	"2024-02-29T23:59:59-0800": "2024-03-01 07:59:59", "2024-02-29 23:59:59 UTC": "2024-02-29 23:59:59", "9999-12-31T23:59:59.9Z": "9999-12-31 23:59:59.9",
	"2038-01-19T03:14:07.999999Z": "2038-01-19 03:14:07.999999", "2038-01-19T03:14:08Z": "2038-01-19 03:14:08",
	"1970-01-01T00:00:00Z": "1970-01-01 00:00:00", "1969-12-31T23:59:59Z": "1969-12-31 23:59:59",
	"10:11:12": "10:11:12", "10:11": "10:11:00", "-10:11:12": "-10:11:12", "838:59:59": "838:59:59",
}

// arrives reports whether got, from a column of a type, is what a JSON value says, but for the rounding that the
// reference names: decimal places, fractions of a second, and white space at the end.
func arrives(typ, value, got string) bool {
	name, _, _ := strings.Cut(typ, "(")
	var text string
	if json.Unmarshal([]byte(value), &text) != nil {
		text = value
	}
	switch name {
	case "varchar", "char":
		var n int
		_, _ = fmt.Sscanf(typ, name+"(%d)", &n)
		if runes := []rune(text); len(runes) > n && strings.TrimSpace(string(runes[n:])) == "" {
			text = string(runes[:n]) // MySQL cuts white space that is too much
		}
		if name == "char" {
			text = strings.TrimRight(text, " ")
		}
		return got == fmt.Sprintf("%X", text)
	case "datetime", "timestamp", "date", "time":
		return sameTime(name, times[text], got)
	case "double":
		x, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		y, _ := strconv.ParseFloat(got, 64)
		return err == nil && x == y
	case "float":
		x, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		y, _ := strconv.ParseFloat(got, 64)
		return err == nil && float32(x) == float32(y)
	}
	switch value {
	case "true":
		text = "1"
	case "false":
		text = "0"
	}
	x, ok := new(big.Rat).SetString(strings.TrimSpace(text))
	y, _ := new(big.Rat).SetString(got)
	if !ok {
		return false
	}
	var p, s int
	if name == "decimal" {
		_, _ = fmt.Sscanf(typ, "decimal(%d,%d)", &p, &s)
	}
	half := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(s)), nil))
	if s < 30 {
		half.Quo(half, big.NewRat(2, 1)) // the thirtieth place is cut
	}
	difference := new(big.Rat).Sub(x, y)
	return difference.Sign() == 0 || name == "decimal" && difference.Abs(difference).Cmp(half) <= 0
}

// sameTime compares to the second, rounded or cut.
func sameTime(name, want, got string) bool {
	day, clock, _ := strings.Cut(want, " ")
	switch {
	case want == "":
		return false
	case name == "date":
		return got == day
	case name == "time" && clock != "":
		want = clock
	case name == "time":
		want = day
	}
	cut, fraction, _ := strings.Cut(want, ".")
	if strings.HasPrefix(got, cut) {
		_, places, _ := strings.Cut(got, ".")
		return strings.HasPrefix(fraction+"000000", strings.TrimRight(places, "0")) || len(places) < len(fraction)
	}
	return fraction >= "5" && fraction != "" && !strings.Contains(strings.TrimRight(strings.TrimRight(got, "0"), "."), ".") // the next second
}
