package columntype

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Kind is what a column makes of a JSON value.
type Kind uint8

// The kinds. Types of one kind differ in range and length only, which the database checks.
const (
	Text    Kind = iota
	Integer      // whole numbers
	Boolean      // as Integer; MySQL keeps it as tinyint(1)
	Year         // whole numbers that are a year in four digits, or 0
	Decimal      // numbers, digit by digit
	Float        // numbers, as doubles
	Moment       // datetime and timestamp: date and time of day, in UTC
	Date         // the day of a moment
	Clock        // the time of day of a moment
	JSON         // any JSON value
	Binary       // the bytes of a text
)

// kinds says of each kind which JSON values may fit, as the first byte of their text (jsontext.Kind), and what a
// value that does not fit is not.
var kinds = [...]struct{ takes, want string }{
	Text:    {`"0tf{[`, "a text"},
	Integer: {`"0tf`, "a whole number"},
	Boolean: {`"0tf`, "a whole number"},
	Year:    {`"0`, "a year in four digits"},
	Decimal: {`"0`, "a number"},
	Float:   {`"0`, "a number"},
	Moment:  {`"`, "a date or time; make one in a map step, from a number with from_unix or from_unix_ms"},
	Date:    {`"`, "a date or time; make one in a map step, from a number with from_unix or from_unix_ms"},
	Clock:   {`"`, "a time; make one in a map step, from a number with from_unix or from_unix_ms"},
	JSON:    {`"0tf{[`, "a JSON value"},
	Binary:  {`"`, "a string"},
}

// Takes reports whether a JSON value of that sort can fit at all. null is for the column to decide, not for its type.
func (k Kind) Takes(v jsontext.Kind) bool { return strings.IndexByte(kinds[k].takes, byte(v)) >= 0 }

// Want is what a value has to be, for a message such as "1.5 is not a whole number".
func (k Kind) Want() string { return kinds[k].want }

// Numeric reports whether the column holds numbers, so that a text of digits and the number are the same value in it.
func (k Kind) Numeric() bool { return k >= Integer && k <= Float }
