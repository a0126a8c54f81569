package expression

import (
	"math/bits"

	"github.com/cockroachdb/apd/v3"
)

// exact holds any sum, difference or product of two numbers in range whose result is in range.
var exact = apd.Context{Precision: 3 * (maxDigits + maxExponent), MaxExponent: 10 * maxExponent, MinExponent: -10 * maxExponent, Rounding: apd.RoundHalfEven}

func longOp(op func(c *apd.Context, d, x, y *apd.Decimal) (apd.Condition, error), a, b Value) (Value, error) {
	c := exact
	d := new(apd.Decimal)
	condition, err := op(&c, d, a.big(), b.big())
	if err != nil || condition.Inexact() || !inRange(d) {
		return Value{}, errRange
	}
	return fromBig(d), nil
}

func divide(a, b Value) (Value, error) {
	if b.zero() {
		return Value{}, errDivisionByZero
	}
	if v, ok := divideShort(a, b); ok {
		return v, nil
	}
	return divideLong(a.big(), b.big())
}

// divideShort gives quotients that have at most 18 digits, or that never end, where operands and result
// are short and no more than 10^12, so that 18 digits are more than quotientPlaces.
func divideShort(a, b Value) (Value, bool) {
	if a.ext != nil || b.ext != nil {
		return Value{}, false
	}
	x, y := magnitude(a.coef), magnitude(b.coef)
	if x == 0 {
		return Value{kind: Number}, true
	}
	negative := (a.coef < 0) != (b.coef < 0)
	scale := a.scale - b.scale
	if scale >= 0 && x%y == 0 && x/y < 1<<63 {
		return trimmed(x/y, scale, negative), true
	}
	// shift is how many zeros x needs for a quotient of 18 digits, or one less.
	shift := quotientDigits - digits(x) + digits(y)
	if shift < 1 || shift >= len(wide10) {
		return Value{}, false
	}
	hi, lo, ok := mulWide(x, wide10[shift])
	if !ok || hi >= y {
		return Value{}, false
	}
	q, r := bits.Div64(hi, lo, y)
	if q >= uint64(pow10[18]) { // 19 digits: one too many
		shift--
		hi, lo, _ = mulWide(x, wide10[shift])
		q, r = bits.Div64(hi, lo, y)
	}
	scale += int32(shift)
	if r == 0 && scale >= 0 && scale <= maxScale {
		return trimmed(q, scale, negative), true
	}
	if r != 0 && ends(x, y) || scale < quotientPlaces || scale > maxScale {
		return Value{}, false
	}
	if half := y - r; r > half || r == half && q&1 == 1 {
		q++
	}
	return trimmed(q, scale, negative), true
}

// trimmed is q × 10^-scale without zeros at the end of its decimal places.
func trimmed(q uint64, scale int32, negative bool) Value {
	for scale > 0 && q%10 == 0 {
		q /= 10
		scale--
	}
	n := int64(q)
	if negative {
		n = -n
	}
	return Value{kind: Number, coef: n, scale: scale}
}

// ends reports whether x/y has finitely many decimal digits.
func ends(x, y uint64) bool {
	y >>= bits.TrailingZeros64(y)
	for y%5 == 0 {
		y /= 5
	}
	return x%y == 0
}

func digits(n uint64) int {
	d := bits.Len64(n) * 1233 >> 12 // log10(2) ≈ 1233/4096; right, or one too few
	if d < len(pow10) && n >= uint64(pow10[d]) || n >= 1e19 {
		d++
	}
	return d
}

type uint128 struct{ hi, lo uint64 }

var wide10 = func() (p [38]uint128) {
	p[0] = uint128{0, 1}
	for i := 1; i < len(p); i++ {
		hi, lo := bits.Mul64(p[i-1].lo, 10)
		p[i] = uint128{p[i-1].hi*10 + hi, lo}
	}
	return p
}()

func mulWide(x uint64, p uint128) (hi, lo uint64, ok bool) {
	hi, lo = bits.Mul64(x, p.lo)
	over, mid := bits.Mul64(x, p.hi)
	hi, carry := bits.Add64(hi, mid, 0)
	return hi, lo, over == 0 && carry == 0
}

// divideLong is the definition of a quotient.
func divideLong(a, b *apd.Decimal) (Value, error) {
	c := exact
	c.Precision = exactDigits
	d := new(apd.Decimal)
	condition, err := c.Quo(d, a, b)
	if err == nil && condition.Inexact() {
		whole := max(0, d.NumDigits()+int64(d.Exponent)) // digits before the point
		c.Precision = uint32(max(quotientDigits, whole+quotientPlaces))
		_, err = c.Quo(d, a, b)
	}
	if err != nil {
		return Value{}, errRange
	}
	d.Reduce(d)
	if d.Exponent > 0 && d.Exponent <= 2*exactDigits { // digits before the point are written out
		c.Precision = maxDigits
		if _, err := c.Quantize(d, d, 0); err != nil {
			return Value{}, errRange
		}
	}
	if !inRange(d) {
		return Value{}, errRange
	}
	return fromBig(d), nil
}
