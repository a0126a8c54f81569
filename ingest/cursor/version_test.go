package cursor_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/pipeline"
)

func versions(t *testing.T, rule pipeline.VersionRule) cursor.Versions {
	t.Helper()
	v, err := cursor.NewVersions(&pipeline.Ingest{Version: "v", VersionRule: rule})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// ruleOf reads a rule from text such as "number 6": As and Scale.
func ruleOf(text string) (rule pipeline.VersionRule) {
	as, rest, _ := strings.Cut(text, " ")
	rule.As = as
	if strings.HasPrefix(rest, "%") {
		rule.Format = rest
	} else {
		_, _ = fmt.Sscan(rest, &rule.Scale)
	}
	return rule
}

func TestVersionGrowsWithTheValue(t *testing.T) {
	for _, c := range []struct {
		rule      string
		ascending []string
	}{
		{"", []string{`-5`, `0`, `7`, `1e3`, `"1001"`, `9007199254740993`, `9223372036854775807`}},
		{"", []string{`"-3"`, `"1"`, `"20"`, `"00300"`, `"301.0"`}},
		{"", []string{
			`"1969-12-31T23:59:59Z"`, `"2024-01-01"`, `"2024-01-01T00:00:00.000001Z"`, `"2024-01-01T03:00:01+02:00"`, `"2024-01-01 01:00:02"`,
			`"2024-01-01T01:01Z"`, `"2024-01-01T01:02:00+0000"`, `"2024-01-01T01:03:00+00"`, `"2024-01-01T01:04:00\u002B00:00"`,
			`"Mon, 01 Jan 2024 01:05:00 GMT"`, `"2024-01-01T01:06:00.123456100Z"`, `"2024-01-01T01:06:00.1234562001234Z"`, `"2024-01-01T01:06:00,2Z"`,
			`"20240101T010700Z"`, `"2024/01/01 01:08"`, `"\/Date(1704071340000+0100)\/"`, `"Mon Jan 01 01:10:00 +0000 2024"`, `"2024-01-01 01:11:00 UTC"`,
			`"2261-01-01T00:00:00Z"`, `"9999-12-31T00:00:00Z"`,
		}},
		{"", []string{`"0001-01-01T00:00:00Z"`, `"1700-01-01T00:00:00Z"`}},
		{"time", []string{`1709373600.1`, `1709373600.9`, `"1709373601.100005"`, `1709373601900`, `1709373601900.5`, `1709373602000000`, `1709373602000000001`}},
		{"time %d.%m.%Y", []string{`"31.01.2024"`, `"01.02.2024"`, `"01.01.2025"`}},
		{"number 6", []string{`-1.000001`, `-1`, `0.1`, `1709373600.1`, `"1709373600.100005"`, `1709373600.9`, `1.709373601e9`}},
		{"unsigned", []string{`0`, `1`, `9223372036854775807`, `9223372036854775808`, `18446744073709551600`, `"18446744073709551615"`}},
		{"digits", []string{`"v9"`, `"v11"`, `"12-ab"`, `"rev 13.7"`, `14`}},
		{"hex", []string{`"0x00000000000007D1"`, `"7d2"`, `"0XFFFFFFFFFFFFFFFE"`, `"0000ffffffffffffffff"`}},
	} {
		v := versions(t, ruleOf(c.rule))
		var last int64
		for i, value := range c.ascending {
			n, err := v.Version(jsontext.Value(value))
			if err != nil || i > 0 && n <= last {
				t.Errorf("%q: version of %s is %d (%v), after %d", c.rule, value, n, err, last)
			}
			last = n
		}
	}
}

// No version that cannot be compared with all others is taken for one that can.
func TestVersionsThatCannotBeComparedAreRefused(t *testing.T) {
	for rule, values := range map[string][]string{
		"": {
			`null`, `true`, `{}`, `[]`, `"yesterday"`, `""`, `"NaN"`, `" "`, `1709373600.9`, `"1709373600.900005"`, `18446744073709551615`, `1e300`, `1e-7`,
			`"v12"`, `"12-ab"`, `"0x7D2"`, `"2024-02-30"`, `"2024-01-01T25:00:00Z"`, `"2024-01-01T00:00:00+2"`, `"2024-01-01T00:00:00 CET"`, `"2024-01-01x"`,
			`"01/02/2024"`, `"2024-01-01T00:00:00.Z"`, `"1 2"`, `"1,5"`,
		},
		"time":          {`"v12"`, `"01/02/2024"`, `true`, `1e30`},
		"time %d.%m.%Y": {`"2024-01-31"`, `1709373600`, `"32.01.2024"`},
		"number 2":      {`1.234`, `"2024-01-01"`, `92233720368547758.08`, `"x"`},
		"unsigned":      {`-1`, `1.5`, `18446744073709551616`, `"x"`},
		"digits":        {`"v"`, `""`, `"99999999999999999999"`},
		"hex":           {`"0x"`, `""`, `"xyz"`, `12`, `"1ffffffffffffffff"`},
	} {
		v := versions(t, ruleOf(rule))
		for _, value := range values {
			if n, err := v.Version(jsontext.Value(value)); err == nil {
				t.Errorf("%q: %s has version %d", rule, value, n)
			}
		}
	}
	if _, err := versions(t, pipeline.VersionRule{}).Version(nil); err == nil {
		t.Error("a field that is missing has a version")
	}
}

// What is the incremental field, too, is compared as since is.
func TestVersionOfAnIncrementalField(t *testing.T) {
	in := &pipeline.Ingest{Version: "at", Incremental: &pipeline.Incremental{Field: "at"}}
	v, err := cursor.NewVersions(in)
	if err != nil {
		t.Fatal(err)
	}
	older, err1 := v.Version(jsontext.Value(`1709373600.1`))
	newer, err2 := v.Version(jsontext.Value(`"2024-03-02T10:00:00.9Z"`))
	if err1 != nil || err2 != nil || newer <= older {
		t.Errorf("%d (%v), then %d (%v)", older, err1, newer, err2)
	}
}

func FuzzTimes(f *testing.F) {
	for _, s := range []string{"2024-03-02T10:00:00.000+0000", "20240302T1000Z", "2024/03/02 10:00", "Mon, 02 Jan 2006 15:04:05 GMT", "/Date(17-5)/", "-07.50"} {
		f.Add(s)
	}
	in := &pipeline.Ingest{Version: "at", Incremental: &pipeline.Incremental{Field: "at", Param: "since"}}
	scale, err := cursor.NewScale(in)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		value, err := jsontext.AppendQuote(nil, text)
		if err != nil {
			return
		}
		n, err := scale.Value(value)
		if err != nil {
			return
		}
		param, from := scale.Ask(n, scale.Form(value))
		if from > n {
			t.Errorf("%q is %d and asks for %q, which is later: %d", text, n, param, from)
		}
	})
}
