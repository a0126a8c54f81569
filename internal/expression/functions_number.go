package expression

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/cockroachdb/apd/v3"
	"github.com/go-json-experiment/json/jsontext"
)

// parseNumber reads a number or the text of one, which is written as in JSON but may have spaces around it
// and zeros or a + before it.
func parseNumber(f *Frame, v Value) (Value, error) {
	if v.kind == Number {
		return v.decoded()
	}
	s := bytes.TrimSpace(f.str(v))
	digits := bytes.TrimPrefix(s, []byte("+"))
	negative := bytes.HasPrefix(digits, []byte("-")) && len(digits) == len(s)
	if negative {
		digits = digits[1:]
	}
	for len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		digits = digits[1:]
	}
	token := jsontext.Value(digits)
	if len(digits) == 0 || digits[0] == '-' || token.Kind() != '0' || !token.IsValid() {
		return Value{}, fmt.Errorf("%.40q is not a number", s)
	}
	n, err := JSON(token).decoded()
	if err == nil && negative {
		n, err = negate(n)
	}
	return n, err
}

func toDecimal(f *Frame, args []Value) (Value, error) { return parseNumber(f, args[0]) }

// toInt cuts decimal places off.
func toInt(f *Frame, args []Value) (Value, error) {
	if args[0].kind == Bool {
		return integer(args[0].coef), nil
	}
	n, err := parseNumber(f, args[0])
	if err != nil {
		return n, err
	}
	return rounded(n, 0, apd.RoundDown)
}

// toFloat rounds to the nearest IEEE 754 double and gives the fewest digits that mean this double.
func toFloat(f *Frame, args []Value) (Value, error) {
	n, err := parseNumber(f, args[0])
	if err != nil {
		return n, err
	}
	x, err := strconv.ParseFloat(string(n.AppendJSON(nil)), 64)
	if err != nil || math.IsInf(x, 0) {
		return n, errors.New("the number is beyond the range of a double")
	}
	return longNumber(strconv.AppendFloat(nil, x, 'g', -1, 64))
}

func toBool(f *Frame, args []Value) (Value, error) {
	switch v := args[0]; v.kind {
	case Bool:
		return v, nil
	case Number:
		n, err := v.decoded()
		return boolean(!n.zero()), err
	default:
		switch s := bytes.ToLower(bytes.TrimSpace(f.str(v))); string(s) {
		case "true", "1", "yes", "on", "t", "y":
			return boolean(true), nil
		case "false", "0", "no", "off", "f", "n":
			return boolean(false), nil
		default:
			return Value{}, fmt.Errorf("%.40q is neither true nor false", s)
		}
	}
}

func abs(_ *Frame, args []Value) (Value, error) {
	n, err := args[0].decoded()
	if err == nil && compareNumbers(n, integer(0)) < 0 {
		return negate(n)
	}
	return n, err
}

func floor(_ *Frame, args []Value) (Value, error) { return roundTo(args[0], 0, apd.RoundFloor) }

func ceil(_ *Frame, args []Value) (Value, error) { return roundTo(args[0], 0, apd.RoundCeiling) }

// round rounds half away from zero, as MySQL does with DECIMAL.
func round(_ *Frame, args []Value) (Value, error) {
	places := 0
	if len(args) == 2 {
		var err error
		if places, err = index(args[1]); err != nil {
			return Value{}, err
		}
	}
	return roundTo(args[0], places, apd.RoundHalfUp)
}

func roundTo(v Value, places int, how apd.Rounder) (Value, error) {
	n, err := v.decoded()
	if err != nil {
		return n, err
	}
	return rounded(n, places, how)
}

// rounded has at most that many decimal places; negative: zeros before the point.
func rounded(n Value, places int, how apd.Rounder) (Value, error) {
	if n.ext == nil && int(n.scale) <= places {
		return n, nil
	}
	places = min(max(places, -maxExponent), maxExponent)
	d := n.big()
	if d.Exponent >= 0 && places >= 0 || int(-d.Exponent) <= places {
		return n, nil
	}
	c := exact
	c.Rounding = how
	out := new(apd.Decimal)
	if _, err := c.Quantize(out, d, int32(-places)); err != nil {
		return n, errRange
	}
	if places < 0 {
		if _, err := c.Quantize(out, out, 0); err != nil {
			return n, errRange
		}
	}
	return fromBig(out), nil
}

func least(_ *Frame, args []Value) (Value, error) {
	return extreme(args, func(order int) bool { return order < 0 })
}

func greatest(_ *Frame, args []Value) (Value, error) {
	return extreme(args, func(order int) bool { return order > 0 })
}

func extreme(args []Value, better func(order int) bool) (Value, error) {
	values, err := flatten(args)
	if err != nil || len(values) == 0 {
		return Value{kind: Null}, err
	}
	best := values[0]
	for _, v := range values[1:] {
		if better(compareNumbers(v, best)) {
			best = v
		}
	}
	return best, nil
}

func sum(_ *Frame, args []Value) (Value, error) {
	values, err := flatten(args)
	total := integer(0)
	for _, v := range values {
		if err == nil {
			total, err = add(total, v)
		}
	}
	return total, err
}

// flatten returns the numbers among args and in the arrays among them.
func flatten(args []Value) ([]Value, error) {
	var numbers []Value
	for _, arg := range args {
		values := []Value{arg}
		if arg.kind == Array {
			values = elements(arg)
		}
		for i, v := range values {
			if v.kind != Number {
				return nil, fmt.Errorf("element %d is of type %s, not number", i, v.kind)
			}
			n, err := v.decoded()
			if err != nil {
				return nil, err
			}
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// index is a number that must be an integer of a sensible size.
func index(v Value) (int, error) {
	n, err := v.decoded()
	if err != nil {
		return 0, err
	}
	if n.ext != nil || n.coef%pow10[n.scale] != 0 {
		return 0, fmt.Errorf("%s is not an index", n.AppendJSON(nil))
	}
	return int(n.coef / pow10[n.scale]), nil
}
