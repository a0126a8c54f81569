package cut_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/ingest/cut"
)

// TestRest: what an answer says besides its records, also where there are none.
func TestRest(t *testing.T) {
	e := cut.Envelope{Records: []string{"data", "items"}, Fields: [][]string{{"meta", "next"}}, MaxRecordBytes: 1 << 20}
	for body, want := range map[string]string{
		`{"data":{"n":1,"items":[{"a":1},{"a":2}]},"meta":{"next":"x","more":true},"errors":[]}`: `{"data":{"n":1,"items":[]},"meta":{"next":"x","more":true},"errors":[]}`,
		`{"data":{"items":null},"ok":false}`:                                                     `{"data":{"items":null},"ok":false}`,
		`{"data":null,"errors":[{"message":"internal"}]}`:                                        `{"data":null,"errors":[{"message":"internal"}]}`,
		`{"data":{"items":{"a":1}},"error":"x"}`:                                                 `{"data":{"items":{"a":1}},"error":"x"}`,
		`{"a\u0022b":1e3,"data":{"items":[]}}`:                                                   `{"a\"b":1e3,"data":{"items":[]}}`,
		`[1]`:                                                                                    ``,
		`{}`:                                                                                     `{}`,
	} {
		answer, err := cut.Bytes([]byte(body), &e, nil)
		if string(answer.Rest) != want {
			t.Errorf("%s: the rest is %s, want %s", body, answer.Rest, want)
		}
		var none *cut.NoRecordsError
		if err != nil && !errors.As(err, &none) {
			t.Errorf("%s: %v", body, err)
		}
		if answer.Null != strings.Contains(body, `"items":null`) {
			t.Errorf("%s: null is %v", body, answer.Null)
		}
	}
}

// TestRestIsBounded: whatever comes beside the records, in whichever form, little of it is kept, and it is JSON; what
// comes after it is there.
func TestRestIsBounded(t *testing.T) {
	members := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			_, _ = fmt.Fprintf(&b, format, i, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	e := cut.Envelope{Records: []string{"x", "data"}, MaxRecordBytes: 16 << 20}
	for name, beside := range map[string]string{
		"array":   `[` + members(100_000, `{"id":%d,"b":[%d]},`) + `]`,
		"object":  `{` + members(100_000, `"k%d":{"v":%d},`) + `}`,
		"text":    `"` + strings.Repeat("ü\\n", 1<<20) + `"`,
		"nesting": strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		"invalid": "\"a\xff\"",
	} {
		for place, body := range map[string]string{
			"top":  `{"included":` + beside + `,"x":{"data":[]},"error":"late"}`,
			"path": `{"x":{` + members(50_000, `"k%d":%d,`) + `,"included":` + beside + `,"data":[]},"error":"late"}`,
		} {
			a, err := cut.Bytes([]byte(body), &e, nil)
			b, err2 := cut.Reader(strings.NewReader(body), &e, nil)
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			if !bytes.Equal(a.Rest, b.Rest) || len(a.Rest) > 600<<10 || !json.Valid(a.Rest) || !strings.Contains(string(a.Rest), `"data":[]`) && place == "top" {
				t.Errorf("%s, %s: %d bytes, valid %v: %.200s", name, place, len(a.Rest), json.Valid(a.Rest), a.Rest)
			}
			if place == "top" && !strings.HasSuffix(string(a.Rest), `"error":"late"}`) {
				t.Errorf("%s: the end is %s", name, a.Rest[len(a.Rest)-50:])
			}
		}
	}
}
