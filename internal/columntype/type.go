package columntype

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Type is a type of MySQL with its arguments. It is a value, and safe for concurrent use.
type Type struct {
	base     *base // never nil in what New and Of return
	args     []int
	unsigned bool
}

// An UnknownError says that there is no type of that name.
type UnknownError struct{ Name string }

// Error names the type.
func (e *UnknownError) Error() string { return fmt.Sprintf("the type %q is not known", e.Name) }

// New is the type of that name or alias, in lower case, with args as they stand between its parentheses; empty: none.
// The error is an *[UnknownError], or says what is wrong with the arguments.
func New(name, args string) (Type, error) {
	b := find(name)
	if b == nil {
		return Type{}, &UnknownError{name}
	}
	numbers, err := b.arguments(args)
	return Type{base: b, args: numbers}, err
}

// arguments reads what stands in parentheses.
func (b *base) arguments(args string) ([]int, error) {
	switch {
	case args == "" && (b.params == 0 || b.optional):
		return nil, nil
	case args == "" && b.params == 2:
		return nil, fmt.Errorf("%s needs its digits, and how many of them are behind the point: %s(12,2)", b.name, b.name)
	case args == "":
		return nil, fmt.Errorf("%s needs a length: %s(255)", b.name, b.name)
	}
	fields := strings.Split(args, ",")
	if len(fields) != b.params {
		return nil, fmt.Errorf("%s(%s) has %d parameters; want %d", b.name, args, len(fields), b.params)
	}
	numbers := make([]int, len(fields))
	for i, f := range fields {
		f = strings.TrimSpace(f)
		n, err := strconv.Atoi(f)
		if err != nil || n < b.least[i] || n > b.most[i] {
			return nil, fmt.Errorf("%s(%s): %q is not a whole number from %d to %d", b.name, args, f, b.least[i], b.most[i])
		}
		numbers[i] = n
	}
	if len(numbers) == 2 && numbers[1] > numbers[0] {
		return nil, fmt.Errorf("%s(%s) has more digits behind the point than at all", b.name, args)
	}
	return numbers, nil
}

var spelling = regexp.MustCompile(`^([a-z_0-9]+)\s*(?:\(([^()]*)\))?\s*(unsigned)?$`)

// Of reads the spelling of a type: what [Type.String] wrote, or what information_schema calls it. A type that is not
// in the table, such as an enum of a table that is there, is a text.
func Of(text string) Type {
	if m := spelling.FindStringSubmatch(strings.ToLower(text)); m != nil {
		if m[1] == "binary" {
			m[1] = "varbinary"
		}
		if b := find(m[1]); b != nil {
			args, err := b.arguments(m[2])
			if err != nil {
				args = nil // a width that only the table knows, as in int(11)
			}
			return Type{b, args, m[3] != ""}
		}
	}
	return Type{base: find("text")}
}

// Unsigned is the type without negative numbers. ok: there is such a type, and t is not it already.
func (t Type) Unsigned() (u Type, ok bool) {
	if !t.Signed() || t.unsigned {
		return t, false
	}
	t.unsigned = true
	return t, true
}

// Signed reports whether the type may be followed by "unsigned". tinyint(1), which is a boolean, may not.
func (t Type) Signed() bool { return t.base.signed && len(t.args) == 0 }

// String is the type as a statement that creates a table spells it: decimal(12,2), bigint unsigned.
func (t Type) String() string {
	var b strings.Builder
	b.WriteString(t.base.name)
	for i, n := range t.args {
		b.WriteByte("(,"[min(i, 1)])
		b.WriteString(strconv.Itoa(n))
	}
	if len(t.args) > 0 {
		b.WriteByte(')')
	}
	if t.unsigned {
		b.WriteString(" unsigned")
	}
	return b.String()
}

// Name is the type without arguments, by its own name where it has aliases.
func (t Type) Name() string { return t.base.name }

// Kind is what a column of the type makes of a JSON value.
func (t Type) Kind() Kind {
	if t.base.name == "tinyint" && len(t.args) > 0 {
		return Boolean // what MySQL makes of a boolean
	}
	return t.base.kind
}

// Places is how many digits behind the point of a decimal, or of the seconds of a time, a value keeps.
func (t Type) Places() int {
	switch {
	case len(t.args) == 0:
		return 0
	case t.base.kind == Decimal:
		return t.args[len(t.args)-1]
	}
	return t.args[0]
}

// Character reports whether the type has a character set and a collation.
func (t Type) Character() bool { return t.base.character }

// WhyNoKey says why the type cannot be in a primary key; empty: it can.
func (t Type) WhyNoKey() string { return t.base.noKey }

// RowBytes is how many bytes a value takes in a row at most.
func (t Type) RowBytes() int { return t.base.bytes + t.base.perUnit*t.Length() }

// KeyBytes is how many bytes a value takes in an index at most: as in a row, without the length.
func (t Type) KeyBytes() int {
	if t.base.perUnit > 0 {
		return t.base.perUnit * t.Length()
	}
	return t.base.bytes
}

// Length is the first argument: characters or bytes of a text, digits of a decimal; 0: none.
func (t Type) Length() int {
	if len(t.args) == 0 {
		return 0
	}
	return t.args[0]
}
