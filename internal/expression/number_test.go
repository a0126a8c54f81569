package expression

import (
	"math/big"
	"testing"

	"github.com/cockroachdb/apd/v3"
)

// operations by both ways: with int64, and with apd alone.
var operations = map[string]struct {
	fast func(a, b Value) (Value, error)
	long func(a, b Value) (Value, error)
}{
	"+": {add, func(a, b Value) (Value, error) { return longOp((*apd.Context).Add, a, b) }},
	"-": {subtract, func(a, b Value) (Value, error) { return longOp((*apd.Context).Sub, a, b) }},
	"*": {multiply, func(a, b Value) (Value, error) { return longOp((*apd.Context).Mul, a, b) }},
	"%": {remainder, func(a, b Value) (Value, error) {
		if b.zero() {
			return Value{}, errDivisionByZero
		}
		return longOp((*apd.Context).Rem, a, b)
	}},
	"/": {divide, func(a, b Value) (Value, error) {
		if b.zero() {
			return Value{}, errDivisionByZero
		}
		return divideLong(a.big(), b.big())
	}},
}

func FuzzArithmetic(f *testing.F) {
	for _, n := range []int64{930, 0, 1, -1, 3, 7, 60, 100, 227, 1609344, 1 << 53, 1<<63 - 1, -1 << 63, 999_999_999_999_999_999, 1_000_000_000_000_000_000, 1 << 30} {
		for _, m := range []int64{930, 1, 3, 60, -7, 1000, 1 << 62, 1<<63 - 1, 0} {
			f.Add(n, uint8(n&7), m, uint8(m&15))
			f.Add(n, uint8(11), m, uint8(1))
		}
	}
	f.Fuzz(func(t *testing.T, n int64, nScale uint8, m int64, mScale uint8) {
		a := Value{kind: Number, coef: n, scale: int32(nScale % (maxScale + 1))}
		b := Value{kind: Number, coef: m, scale: int32(mScale % (maxScale + 1))}
		for op, both := range operations {
			fast, fastErr := both.fast(a, b)
			long, longErr := both.long(a, b)
			x, y := fast.AppendJSON(nil), long.AppendJSON(nil)
			if (fastErr == nil) != (longErr == nil) || fastErr == nil && string(x) != string(y) {
				t.Errorf("%s %s %s: %s (%v), by the long way %s (%v)", a.AppendJSON(nil), op, b.AppendJSON(nil), x, fastErr, y, longErr)
			}
			if fastErr == nil && compareNumbers(fast, long) != 0 {
				t.Errorf("%s is not equal to %s", x, y)
			}
		}
		if order := a.big().Cmp(b.big()); compareNumbers(a, b) != order {
			t.Errorf("%s <=> %s is not %d", a.AppendJSON(nil), b.AppendJSON(nil), order)
		}
	})
}

// FuzzQuotient checks the definition of a quotient against rational numbers.
func FuzzQuotient(f *testing.F) {
	f.Add(int64(1), int64(3))
	f.Add(int64(1), int64(1<<62))
	f.Add(int64(1<<63-1), int64(7))
	f.Fuzz(func(t *testing.T, n, m int64) {
		if m == 0 {
			return
		}
		v, err := divide(integer(n), integer(m))
		if err != nil {
			t.Fatal(err)
		}
		got, ok := new(big.Rat).SetString(string(v.AppendJSON(nil)))
		if !ok {
			t.Fatalf("%s is not a number", v.AppendJSON(nil))
		}
		want := big.NewRat(n, m)
		off := new(big.Rat).Sub(got, want)
		// Half a unit in the 18th digit, or in the 6th decimal place: 0.5e-17 of the value is the coarsest.
		bound := new(big.Rat).Mul(new(big.Rat).Abs(want), big.NewRat(5, 1_000_000_000_000_000_000))
		if off.Abs(off).Cmp(bound) > 0 {
			t.Errorf("%d / %d = %s", n, m, v.AppendJSON(nil))
		}
	})
}

func TestNumberText(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "1.10": "1.10", "-0.5": "-0.5", "1e2": "100", "1E-3": "0.001", "1.5e3": "1500", "1e25": "1E+25",
		"123456789012345678901234567890.5": "123456789012345678901234567890.5", "18446744073709551615": "18446744073709551615",
		"9223372036854775807": "9223372036854775807", "-9223372036854775808": "-9223372036854775808", "0.000000000000000000001": "0.000000000000000000001",
		"999999999999999999": "999999999999999999", "99999999999999999.9": "99999999999999999.9", "1e-100": "1E-100",
	} {
		v, err := JSON([]byte(in)).decoded()
		if err != nil {
			t.Fatal(err)
		}
		if got := string(v.AppendJSON(nil)); got != want {
			t.Errorf("%s is written %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{"1e1001", "1e-3000", "1e999999999999"} {
		if _, err := JSON([]byte(in)).decoded(); err == nil {
			t.Errorf("%s can be calculated with", in)
		}
	}
}
