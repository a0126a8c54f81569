package cut_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/pipeline"
)

// shaped is what an answer gives, in memory and not.
func shaped(t *testing.T, body string, e cut.Envelope, guesses bool) (records []string, err error) {
	t.Helper()
	e.MaxRecordBytes = 1 << 20
	collect := func(out *[]string) func(int, []byte) error {
		return func(ordinal int, value []byte) error {
			if ordinal != len(*out) {
				t.Errorf("ordinal %d after %d records", ordinal, len(*out))
			}
			*out = append(*out, string(value))
			return nil
		}
	}
	got, err := cut.Bytes([]byte(body), &e, collect(&records))
	if err == nil && got.Records != len(records) {
		t.Errorf("%s: %d records are counted, %d were given", body, got.Records, len(records))
	}
	if guesses {
		return records, err
	}
	var read []string
	_, readErr := cut.Reader(iotest.OneByteReader(strings.NewReader(body)), &e, collect(&read))
	if d := cmp.Diff(records, read); d != "" || (err == nil) != (readErr == nil) {
		t.Errorf("%s: in memory and not: %v, %v\n%s", body, err, readErr, d)
	}
	return records, err
}

func TestDeclaredShapes(t *testing.T) {
	keyed := cut.Shape{Kind: pipeline.ShapeMap, KeyAs: "id", As: "value"}
	plainMap := cut.Shape{Kind: pipeline.ShapeMap, As: "value"}
	values := cut.Shape{Kind: pipeline.ShapeValues, As: "id"}
	object := cut.Shape{Kind: pipeline.ShapeObject}
	for _, c := range []struct {
		name, body, path string
		shape            cut.Shape
		lines            bool
		want             []string // nil: an error
	}{
		{"keyed", `{"data":{"k1":{"a":1},"k\"2":{ }, "3" : { "a": 2 }}}`, "data", keyed, false, []string{`{"id":"k1","a":1}`, `{"id":"k\"2" }`, `{"id":"3", "a": 2 }`}},
		{"own field stays", `{"data":{"k1":{"id":7}}}`, "data", keyed, false, []string{`{"id":7}`}},
		{"values of a map", `{"rates":{"EUR":1.08,"USD":null,"L":[1]}}`, "rates", keyed, false, []string{`{"id":"EUR","value":1.08}`, `{"id":"USD","value":null}`, `{"id":"L","value":[1]}`}},
		{"name dropped", `{"1":{"id":1},"2":{"id":2}}`, "", plainMap, false, []string{`{"id":1}`, `{"id":2}`}},
		{"empty map", `{"data":{}}`, "data", keyed, false, []string{}},
		{"an empty array for an empty map", `{"data":[]}`, "data", keyed, false, []string{}},
		{"an array for a map", `{"data":[{"id":1}]}`, "data", keyed, false, nil},
		{"object", `{"id":1,"temp":3}`, "", object, false, []string{`{"id":1,"temp":3}`}},
		{"object within", `{"now":{"id":1},"x":2}`, "now", object, false, []string{`{"id":1}`}},
		{"an array for an object", `{"now":[{"id":1}]}`, "now", object, false, nil},
		{"no object", `{"then":{"id":1}}`, "now", object, false, nil},
		{"values", `{"tags":["a","b\u0062",3,true]}`, "tags", values, false, []string{`{"id":"a"}`, `{"id":"b\u0062"}`, `{"id":3}`, `{"id":true}`}},
		{"objects among values", `["a",null,{"id":"c"}]`, "", values, false, []string{`{"id":"a"}`, `null`, `{"id":"c"}`}},
		{"array only", `{"data":{"id":1}}`, "data", cut.Shape{Kind: pipeline.ShapeArray}, false, nil},
		{"lines", "{\"id\":1}\n\r\n{\"id\":2}", "", cut.Shape{}, true, []string{`{"id":1}`, `{"id":2}`}},
		{"no lines", "", "", cut.Shape{}, true, []string{}},
		{"cut lines", "{\"id\":1}\n{\"id\":", "", cut.Shape{}, true, nil},
		{"broken lines", "{\"id\":1}\nx{\"id\":2}", "", cut.Shape{}, true, nil},
		{"values in lines", "\"a\"\n\"b\"\n", "", values, true, []string{`{"id":"a"}`, `{"id":"b"}`}},
	} {
		e := cut.Envelope{Shape: c.shape, Lines: c.lines}
		if c.path != "" {
			e.Records = []string{c.path}
		}
		got, err := shaped(t, c.body, e, false)
		if (err != nil) != (c.want == nil) || c.want != nil && strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

// TestGuessedShapes: only what bears the key is taken for a record where nothing was declared.
func TestGuessedShapes(t *testing.T) {
	keys := cut.NewFields([]string{"id"})
	for body, want := range map[string][]string{
		`{"data":{"id":1,"a":{"id":2}}}`:          {`{"id":1,"a":{"id":2}}`},
		`{"data":{"x":{"id":1}, "y":{"id":"2"}}}`: {`{"id":1}`, `{"id":"2"}`},
		`{"data":["a",2]}`:                        {`{"id":"a"}`, `{"id":2}`},
		`{"data":[null,"a"]}`:                     {"null", `"a"`},
		`{"data":[{"id":1},"a"]}`:                 {`{"id":1}`, `"a"`},
		`{"data":{"x":{"id":1},"y":{"no":2}}}`:    nil,
		`{"data":{"x":{"id":1},"y":3}}`:           nil,
		`{"data":{"id":null}}`:                    nil,
		`{"data":{"id":{"x":1}}}`:                 nil,
		`{"data":{}}`:                             nil,
		`{"data":"a"}`:                            nil,
	} {
		e := cut.Envelope{Records: []string{"data"}, Keys: keys, Shape: cut.Shape{As: "id"}}
		got, err := shaped(t, body, e, true)
		if (err != nil) != (want == nil) || want != nil && strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: %q, %v; want %q", body, got, err, want)
		}
	}
}

// TestTheRestTellsOfErrors: where the whole answer is records, what tells of an error is seen still.
func TestTheRestTellsOfErrors(t *testing.T) {
	for _, kind := range []string{pipeline.ShapeMap, pipeline.ShapeObject} {
		e := cut.Envelope{Shape: cut.Shape{Kind: kind, KeyAs: "id", As: "value"}, MaxRecordBytes: 1 << 20}
		got, err := cut.Bytes([]byte(`{"error":{"code":17},"large":"`+strings.Repeat("x", 10_000)+`"}`), &e, nil)
		if err != nil || !strings.Contains(string(got.Rest), `"error":{"code":17}`) || !got.Rest.IsValid() {
			t.Errorf("%s: %v, %.100s", kind, err, got.Rest)
		}
	}
}

// TestAMapIsStreamed: what is held of a large object of records is one record, not the object.
func TestAMapIsStreamed(t *testing.T) {
	const n, size = 2000, 32 << 10 // 64 MiB
	record := `{"text":"` + strings.Repeat("x", size) + `"}`
	parts := []io.Reader{strings.NewReader("{")}
	for i := range n {
		comma := ","
		if i == 0 {
			comma = ""
		}
		parts = append(parts, strings.NewReader(fmt.Sprintf(`%s"k%d":`, comma, i)), strings.NewReader(record))
	}
	parts = append(parts, strings.NewReader("}"))
	e := cut.Envelope{Shape: cut.Shape{Kind: pipeline.ShapeMap, KeyAs: "id", As: "value"}, MaxRecordBytes: 1 << 20}
	var most uint64
	got, err := cut.Reader(io.MultiReader(parts...), &e, func(ordinal int, value []byte) error {
		if !bytes.HasPrefix(value, []byte(fmt.Sprintf(`{"id":"k%d","text":"xx`, ordinal))) {
			t.Fatalf("record %d: %.40s", ordinal, value)
		}
		if ordinal%200 == 199 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
		return nil
	})
	if err != nil || got.Records != n || most > 24<<20 {
		t.Errorf("%d records, %v, %d bytes of heap", got.Records, err, most)
	}
}

// TestBrokenRecordsOfShapes: a record that is no JSON has an end that can be told among members and in lines, too.
func TestBrokenRecordsOfShapes(t *testing.T) {
	for _, c := range []struct {
		body   string
		e      cut.Envelope
		broken string // where it ends; empty: that cannot be told
		want   []string
	}{
		{`{"a":{"x":1}, "b" : {"x":NaN} , "c":{"x":3}}`, cut.Envelope{Shape: cut.Shape{Kind: pipeline.ShapeMap, KeyAs: "id", As: "v"}}, `{"x":NaN}`, []string{`{"id":"a","x":1}`, `{"id":"b","x":NaN}`, `{"id":"c","x":3}`}},
		{`{"a":NaN}`, cut.Envelope{Shape: cut.Shape{Kind: pipeline.ShapeMap, KeyAs: "id", As: "v"}}, `NaN`, []string{`{"id":"a","v":NaN}`}},
		{"{\"x\":1}\n{\"x\":NaN} \r\n{\"x\":3}\n", cut.Envelope{Lines: true}, `{"x":NaN}`, []string{`{"x":1}`, `{"x":NaN}`, `{"x":3}`}},
		{"{\"x\":1}\n{\"x\":NaN}", cut.Envelope{Lines: true}, "", nil},
		{`{"x":NaN}`, cut.Envelope{Shape: cut.Shape{Kind: pipeline.ShapeObject}}, "", nil},
		{`["a",NaN,"c"]`, cut.Envelope{Shape: cut.Shape{Kind: pipeline.ShapeValues, As: "id"}}, "NaN", []string{`{"id":"a"}`, "NaN", `{"id":"c"}`}},
	} {
		c.e.MaxRecordBytes = 1 << 20
		_, err := cut.Bytes([]byte(c.body), &c.e, nil)
		e, ok := errors.AsType[*cut.SyntaxError](err)
		if !ok || e.Record < 0 || e.End == 0 != (c.broken == "") || e.End > 0 && c.body[e.Start:e.End] != c.broken {
			t.Errorf("%s: %v (%+v)", c.body, err, e)
			continue
		}
		if c.broken == "" {
			continue
		}
		var got []string
		_, err = cut.BytesBut([]byte(c.body), &c.e, []cut.SyntaxError{*e}, func(_ int, value []byte) error {
			got = append(got, string(value))
			return nil
		})
		if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", c.body, err, d)
		}
	}
}
