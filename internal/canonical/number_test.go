package canonical_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/internal/canonical"
)

func TestNumbersOfOneValueHaveOneSpelling(t *testing.T) {
	long := strings.Repeat("7", 70)
	for want, spellings := range map[string][]string{
		"7000":                  {"7000", "7E+3", "7e3", "7000.0", "7000.000", "0.7e4", "70000e-1", "7.0E+003"},
		"0":                     {"0", "-0", "0.0", "-0.00", "0e9", "-0E-9"},
		"-1.5":                  {"-1.5", "-1.50", "-15e-1", "-0.15E1"},
		"0.0000001":             {"1e-7", "0.0000001", "0.10e-6"},
		"18446744073709551615":  {"18446744073709551615", "18446744073709551615.0"},
		"1e300":                 {"1e300", "10E299", "1.0e+300", "0.1e301"},
		"-1.5e-300":             {"-1.5e-300", "-15e-301"},
		"7." + long[1:] + "e69": {long, long + ".0", long + "e0"},
	} {
		for _, n := range spellings {
			if got := canonical.AppendNumber([]byte("x"), []byte(n)); string(got) != "x"+want {
				t.Errorf("%s is written as %s, want %s", n, got[1:], want)
			}
		}
	}
	for _, n := range []string{"1e99999999999999999999", "-1e-99999999999999999999", "1e9223372036854775807"} {
		if got := canonical.AppendNumber(nil, []byte(n)); !jsontext.Value(got).IsValid() {
			t.Errorf("%s is written as %s", n, got)
		}
	}
}

func TestNumberOfText(t *testing.T) {
	for text, want := range map[string]string{
		"7": "7", "007": "7", "+7": "7", "-07": "-7", "7.0": "7", "00": "0", "-0": "0", "000.50": "0.5", "1e3": "1000", "+0": "0",
		"": "", "+": "", "-": "", " 7": "", "7 ": "", ".5": "", "7.": "", "x": "", "0x7": "", "+-7": "", "--7": "", "1_000": "", "NaN": "", "7\n": "",
	} {
		if got, ok := canonical.NumberOf([]byte(text)); string(got) != want || ok != (want != "") {
			t.Errorf("%q means %q (%v), want %q", text, got, ok, want)
		}
	}
}

func FuzzNumber(f *testing.F) {
	f.Add("7E+3")
	f.Add("-0.00120e5")
	f.Fuzz(func(t *testing.T, number string) {
		v := jsontext.Value(number)
		if !v.IsValid() || v.Kind() != '0' || len(number) > 200 || strings.TrimSpace(number) != number {
			return
		}
		got := canonical.AppendNumber(nil, v)
		if again := canonical.AppendNumber(nil, got); string(again) != string(got) {
			t.Errorf("%s becomes %s, and that %s", number, got, again)
		}
		if i := strings.IndexAny(number, "eE"); i >= 0 && len(number)-i > 5 {
			return // too much to calculate
		}
		want, _ := new(big.Rat).SetString(number)
		if have, ok := new(big.Rat).SetString(string(got)); !ok || have.Cmp(want) != 0 {
			t.Errorf("%s becomes %s, which is another number", number, got)
		}
	})
}

// FuzzNumberOfText: a text means a number if it is one in JSON, but for zeros and a sign before it.
func FuzzNumberOfText(f *testing.F) {
	for _, text := range []string{"7", "007", "-0.0", "+1e5", "1e", "1.", "1.5E-3x", "9E", "2013-01-01", "0x7", "1 ", ".5", "00", "1e+"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := canonical.NumberOf([]byte(text))
		sign, rest := "", strings.TrimPrefix(text, "+")
		if after, negative := strings.CutPrefix(text, "-"); negative {
			sign, rest = "-", after
		}
		for len(rest) > 1 && rest[0] == '0' && rest[1] >= '0' && rest[1] <= '9' {
			rest = rest[1:]
		}
		v := jsontext.Value(sign + rest)
		is := v.IsValid() && v.Kind() == '0' && strings.TrimSpace(string(v)) == string(v) && !strings.HasPrefix(rest, "-")
		if ok != is || ok && string(got) != string(canonical.AppendNumber(nil, v)) {
			t.Errorf("%q means %q, %v; it is a number: %v", text, got, ok, is)
		}
	})
}
