package expression

import (
	"errors"
	"math/bits"
	"strconv"

	"github.com/cockroachdb/apd/v3"
)

// Numbers are decimals, coef × 10^-scale. Operations try int64 first and go on with apd.Decimal where that
// overflows; both ways give the same results (tested against each other). Bounds, so that no record
// can make an operation expensive: maxDigits digits and exponents of ±maxExponent. Beyond them a
// number can be copied but not calculated with.
const (
	maxDigits   = 1000
	maxExponent = 1000
	maxScale    = 18 // of a number with a short coefficient

	// A quotient of up to exactDigits digits is exact; any other is rounded, half to even, to
	// quotientDigits digits, but to no fewer than quotientPlaces decimal places.
	exactDigits    = 38
	quotientDigits = 18
	quotientPlaces = 6
)

var (
	errDivisionByZero = errors.New("division by zero")
	errRange          = errors.New("the number is too large to calculate with (more than 1000 digits, or an exponent beyond ±1000)")
)

var pow10 = func() (p [19]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// decoded returns v with its token, if it is one, read as a number.
func (v Value) decoded() (Value, error) {
	if !v.raw {
		return v, nil
	}
	if n, ok := shortNumber(v.text); ok {
		return n, nil
	}
	return longNumber(v.text)
}

// shortNumber reads a JSON number without exponent whose digits fit in an int64.
func shortNumber(s []byte) (Value, bool) {
	i, negative := 0, false
	if s[0] == '-' {
		i, negative = 1, true
	}
	if len(s)-i > 19 { // 18 digits and a point: they cannot overflow
		return Value{}, false
	}
	var n int64
	var scale int32
	for ; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			if s[i] != '.' {
				return Value{}, false
			}
			scale = int32(len(s) - i - 1)
			continue
		}
		if n > (1<<63-1-9)/10 {
			return Value{}, false
		}
		n = n*10 + int64(c)
	}
	if negative {
		n = -n
	}
	return Value{kind: Number, coef: n, scale: scale}, true
}

func longNumber(s []byte) (Value, error) {
	d, _, err := apd.NewFromString(string(s))
	if err != nil || !inRange(d) {
		return Value{}, errRange
	}
	return fromBig(d), nil
}

func inRange(d *apd.Decimal) bool {
	return d.Form == apd.Finite && d.NumDigits() <= maxDigits && d.Exponent <= maxExponent && d.Exponent >= -maxExponent-maxDigits
}

// big returns a decoded number as a Decimal that must not be changed.
func (v Value) big() *apd.Decimal {
	if v.ext != nil {
		return v.ext.big
	}
	return apd.New(v.coef, -v.scale)
}

// fromBig makes the short form where there is one, so that equal numbers of up to 18 digits are always short.
func fromBig(d *apd.Decimal) Value {
	if d.Exponent <= 0 && d.Exponent >= -maxScale && d.Coeff.IsInt64() {
		n := d.Coeff.Int64()
		if d.Negative {
			n = -n
		}
		return Value{kind: Number, coef: n, scale: -d.Exponent}
	}
	return Value{kind: Number, ext: &extra{big: d}}
}

// align brings two short numbers to one scale.
func align(a, b Value) (x, y int64, scale int32, ok bool) {
	if a.ext != nil || b.ext != nil {
		return 0, 0, 0, false
	}
	x, y, scale = a.coef, b.coef, a.scale
	switch {
	case a.scale < b.scale:
		scale = b.scale
		x, ok = mul64(x, pow10[b.scale-a.scale])
	case a.scale > b.scale:
		y, ok = mul64(y, pow10[a.scale-b.scale])
	default:
		ok = true
	}
	return x, y, scale, ok
}

func mul64(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 || lo > 1<<63-1 {
		return 0, false
	}
	if (a < 0) != (b < 0) {
		return -int64(lo), true
	}
	return int64(lo), true
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func add(a, b Value) (Value, error) {
	if x, y, scale, ok := align(a, b); ok {
		if sum := x + y; (sum > x) == (y > 0) {
			return Value{kind: Number, coef: sum, scale: scale}, nil
		}
	}
	return longOp((*apd.Context).Add, a, b)
}

func subtract(a, b Value) (Value, error) {
	if x, y, scale, ok := align(a, b); ok {
		if diff := x - y; (diff < x) == (y > 0) {
			return Value{kind: Number, coef: diff, scale: scale}, nil
		}
	}
	return longOp((*apd.Context).Sub, a, b)
}

func multiply(a, b Value) (Value, error) {
	if a.ext == nil && b.ext == nil && a.scale+b.scale <= maxScale {
		if n, ok := mul64(a.coef, b.coef); ok {
			return Value{kind: Number, coef: n, scale: a.scale + b.scale}, nil
		}
	}
	return longOp((*apd.Context).Mul, a, b)
}

// remainder has the sign of a.
func remainder(a, b Value) (Value, error) {
	if b.zero() {
		return Value{}, errDivisionByZero
	}
	if x, y, scale, ok := align(a, b); ok {
		return Value{kind: Number, coef: x % y, scale: scale}, nil
	}
	return longOp((*apd.Context).Rem, a, b)
}

func (v Value) zero() bool {
	if v.ext != nil {
		return v.ext.big.IsZero()
	}
	return v.coef == 0
}

func negate(v Value) (Value, error) {
	if v.ext == nil && v.coef != -1<<63 {
		v.coef = -v.coef
		return v, nil
	}
	d := new(apd.Decimal)
	d.Neg(v.big())
	return fromBig(d), nil
}

// compareNumbers compares decoded numbers.
func compareNumbers(a, b Value) int {
	if x, y, _, ok := align(a, b); ok {
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	return a.big().Cmp(b.big())
}

// appendNumber appends a decoded number: plain digits, or with an exponent where there would be many zeros.
func (v Value) appendNumber(dst []byte) []byte {
	if v.ext != nil {
		return appendBig(dst, v.ext.big)
	}
	if v.scale == 0 {
		return strconv.AppendInt(dst, v.coef, 10)
	}
	if v.coef < 0 {
		dst = append(dst, '-')
	}
	m, p := magnitude(v.coef), uint64(pow10[v.scale])
	dst = strconv.AppendUint(dst, m/p, 10)
	dst = append(dst, '.')
	start := len(dst)
	dst = append(dst, "000000000000000000"[:v.scale]...)
	for i, rest := len(dst)-1, m%p; i >= start; i-- {
		dst[i] = byte('0' + rest%10)
		rest /= 10
	}
	return dst
}

func appendBig(dst []byte, d *apd.Decimal) []byte {
	if d.IsZero() {
		return append(dst, '0')
	}
	format := byte('f')
	if d.Exponent > 20 || d.Exponent < -exactDigits-quotientPlaces {
		format = 'E'
	}
	return d.Append(dst, format)
}
