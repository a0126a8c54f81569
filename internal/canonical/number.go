package canonical

import (
	"bytes"
	"strconv"
)

// maxPlainDigits is how many digits a number may have before it is written with an exponent.
const maxPlainDigits = 64

// AppendNumber appends the one spelling of a JSON number that all numbers of its value share: 7E+3, 7000.0 and 7000
// are 7000. It has no exponent, no zeros behind the last digit after the point and no negative zero; but numbers with
// more than 64 digits before or after the point are written as 1.5e300.
func AppendNumber(dst, number []byte) []byte {
	if whole(number) {
		return append(dst, number...)
	}
	digits, point, negative := decimal(number)
	if len(digits) == 0 {
		return append(dst, '0')
	}
	if negative {
		dst = append(dst, '-')
	}
	n := len(digits)
	switch {
	case point > maxPlainDigits || n-point > maxPlainDigits:
		dst = append(dst, digits[0])
		if n > 1 {
			dst = append(append(dst, '.'), digits[1:]...)
		}
		return strconv.AppendInt(append(dst, 'e'), int64(point)-1, 10)
	case point <= 0:
		dst = append(dst, '0', '.')
		dst = append(dst, bytes.Repeat([]byte{'0'}, -point)...)
		return append(dst, digits...)
	case point >= n:
		dst = append(dst, digits...)
		return append(dst, bytes.Repeat([]byte{'0'}, point-n)...)
	}
	dst = append(append(dst, digits[:point]...), '.')
	return append(dst, digits[point:]...)
}

// NumberOf is the one spelling, see [AppendNumber], of the number that a text means: 007, +7 and 7.0 mean 7. ok is
// false if it means none.
func NumberOf(text []byte) (number []byte, ok bool) {
	rest, negative := bytes.CutPrefix(text, []byte{'-'})
	if !negative {
		rest = bytes.TrimPrefix(text, []byte{'+'})
	}
	plain := bytes.TrimLeft(rest, "0")
	if len(plain) < len(rest) && digits(plain) == 0 {
		plain = rest[len(rest)-len(plain)-1:]
	}
	if !unsigned(plain) {
		return nil, false
	}
	if negative {
		plain = append([]byte{'-'}, plain...)
	}
	return AppendNumber(nil, plain), true
}

// unsigned reports whether a text is a JSON number without a sign (RFC 8259, section 6).
func unsigned(text []byte) bool {
	n := digits(text)
	if n == 0 || n > 1 && text[0] == '0' {
		return false
	}
	rest := text[n:]
	if after, ok := bytes.CutPrefix(rest, []byte{'.'}); ok {
		if n = digits(after); n == 0 {
			return false
		}
		rest = after[n:]
	}
	if len(rest) == 0 {
		return true
	}
	if rest[0] != 'e' && rest[0] != 'E' {
		return false
	}
	if rest = rest[1:]; len(rest) > 0 && (rest[0] == '+' || rest[0] == '-') {
		rest = rest[1:]
	}
	return len(rest) > 0 && digits(rest) == len(rest)
}

// digits is how many digits a text begins with.
func digits(text []byte) (n int) {
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return n
}

// whole reports whether a number is written as digits alone, which is its one spelling already.
func whole(number []byte) bool {
	digits := bytes.TrimPrefix(number, []byte{'-'})
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(digits) <= maxPlainDigits && len(digits) > 0 && (digits[0] != '0' || len(number) == 1)
}

// decimal splits a number into its digits, without zeros at either end, and the place of the point among them: the
// value is 0.digits × 10^point. Zero has no digits.
func decimal(number []byte) (digits []byte, point int, negative bool) {
	rest, negative := bytes.CutPrefix(number, []byte{'-'})
	exponent := 0
	if i := bytes.IndexAny(rest, "eE"); i >= 0 {
		const limit = 1 << 40 // no text of a record is so long that its digits matter beside this
		n, err := strconv.ParseInt(string(bytes.TrimPrefix(rest[i+1:], []byte{'+'})), 10, 64)
		if err != nil || n > limit || n < -limit {
			n = limit
			if bytes.HasPrefix(rest[i+1:], []byte{'-'}) {
				n = -limit
			}
		}
		exponent, rest = int(n), rest[:i]
	}
	before, after, _ := bytes.Cut(rest, []byte{'.'})
	point = len(before) + exponent
	digits = append(append(make([]byte, 0, len(before)+len(after)), before...), after...)
	for len(digits) > 0 && digits[0] == '0' {
		digits, point = digits[1:], point-1
	}
	return bytes.TrimRight(digits, "0"), point, negative
}
