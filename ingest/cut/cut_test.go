package cut_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/ingest/cut"
)

type result struct {
	Records []string
	Fields  []string // "-" where absent
}

func collect(records *[]string) func(int, []byte) error {
	return func(i int, v []byte) error {
		if i != len(*records) {
			return fmt.Errorf("ordinal %d for record %d", i, len(*records))
		}
		*records = append(*records, string(v))
		return nil
	}
}

func both(t *testing.T, body string, e cut.Envelope) (result, error) {
	t.Helper()
	if e.MaxRecordBytes == 0 {
		e.MaxRecordBytes = 1 << 20
	}
	var r, s result
	a, err := cut.Bytes([]byte(body), &e, collect(&r.Records))
	b, err2 := cut.Reader(iotest.OneByteReader(strings.NewReader(body)), &e, collect(&s.Records))
	if (err == nil) != (err2 == nil) {
		t.Fatalf("Bytes: %v, Reader: %v", err, err2)
	}
	if d := cmp.Diff(a, b); err == nil && d != "" {
		t.Fatalf("Bytes and Reader differ:\n%s", d)
	}
	if d := cmp.Diff(r.Records, s.Records); err == nil && d != "" {
		t.Fatalf("records of Bytes and Reader differ:\n%s", d)
	}
	if err == nil && a.Records != len(r.Records) {
		t.Fatalf("counted %d records, got %d", a.Records, len(r.Records))
	}
	for _, f := range a.Fields {
		if f == nil {
			f = jsontext.Value("-")
		}
		r.Fields = append(r.Fields, string(f))
	}
	return r, err
}

func TestCut(t *testing.T) {
	fields := [][]string{{"meta", "next"}, {"total"}}
	data := cut.Envelope{Records: []string{"data"}, Fields: fields}
	for name, c := range map[string]struct {
		body string
		e    cut.Envelope
		want result
	}{
		"bare array":         {` [ {"a": 1} , 2,"x" ,null,[ ]] `, cut.Envelope{}, result{[]string{`{"a": 1}`, "2", `"x"`, "null", "[ ]"}, nil}},
		"envelope before":    {`{"meta":{"next":"n"},"total":3,"data":[{"a":1}]}`, data, result{[]string{`{"a":1}`}, []string{`"n"`, "3"}}},
		"envelope after":     {`{"data":[{"a":1}],"total":3,"meta":{"x":[1],"next":null}}`, data, result{[]string{`{"a":1}`}, []string{"null", "3"}}},
		"fields absent":      {`{"data":[]}`, data, result{nil, []string{"-", "-"}}},
		"null records":       {`{"data":null,"total":0}`, data, result{nil, []string{"-", "0"}}},
		"deep records":       {`{"r":{"x":1,"items":[1,2]},"n":{"items":[9]}}`, cut.Envelope{Records: []string{"r", "items"}}, result{[]string{"1", "2"}, nil}},
		"field beside":       {`{"r":{"cursor":"c","items":[1]}}`, cut.Envelope{Records: []string{"r", "items"}, Fields: [][]string{{"r", "cursor"}}}, result{[]string{"1"}, []string{`"c"`}}},
		"duplicate names":    {`{"data":[{"a":1,"a":2}]}`, data, result{[]string{`{"a":1,"a":2}`}, []string{"-", "-"}}},
		"invalid UTF-8":      {"{\"data\":[{\"a\":\"\xff\"}]}", data, result{[]string{"{\"a\":\"\xff\"}"}, []string{"-", "-"}}},
		"bytes are kept":     {`{"data":[{"n":1.50e+3,"s":"\u0041\/"}]}`, data, result{[]string{`{"n":1.50e+3,"s":"\u0041\/"}`}, []string{"-", "-"}}},
		"names with dots":    {`{"@odata.next":"n","x":{"odata.value":[1],"a.b":{"c.d":2}}}`, cut.Envelope{Records: []string{"x", "odata", "value"}, Fields: [][]string{{"@odata", "next"}, {"x", "a", "b", "c", "d"}, {"@odata.next"}}}, result{[]string{"1"}, []string{`"n"`, "2", `"n"`}}},
		"field in a field":   {`{"data":[],"a":{"b":{"c":1}}}`, cut.Envelope{Records: []string{"data"}, Fields: [][]string{{"a"}, {"a", "b"}, {"a", "b", "c"}}}, result{nil, []string{`{"b":{"c":1}}`, `{"c":1}`, "1"}}},
		"field wanted twice": {`{"data":[],"n":1}`, cut.Envelope{Records: []string{"data"}, Fields: [][]string{{"n"}, {"n"}}}, result{nil, []string{"1", "1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := both(t, c.body, c.e)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestBrokenAnswers(t *testing.T) {
	data := cut.Envelope{Records: []string{"data"}}
	for name, c := range map[string]struct{ body, want string }{
		"empty":         {``, "ends in the middle"},
		"cut":           {`{"data":[{"a":1},{"a"`, "ends in the middle"},
		"cut at end":    {`{"data":[{"a":1}]`, "ends in the middle"},
		"more follows":  {`{"data":[]} x`, "not JSON at byte 12"},
		"second text":   {`{"data":[]}{}`, "more follows"},
		"not JSON":      {`<html>`, "not JSON at byte 0"},
		"no records":    {`{"items":[]}`, `no array of records at "data"`},
		"not an array":  {`{"data":{"a":1}}`, `at "data" in the answer there is no array`},
		"an array":      {`[1]`, `no array of records at "data"`},
		"two arrays":    {`{"data":[1],"data":[2]}`, "two arrays"},
		"late mistakes": {`{"data":[{"a":1}],"z":01}`, "not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := both(t, c.body, data)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestRecordTooLarge(t *testing.T) {
	e := cut.Envelope{Records: []string{"data"}, MaxRecordBytes: 100}
	body := `{"data":[1,"` + strings.Repeat("x", 99) + `"]}`
	if a, err := cut.Bytes([]byte(body), &e, nil); err != nil || a.Records != 2 {
		t.Errorf("in memory: %d records, %v", a.Records, err)
	}
	_, err := cut.Reader(strings.NewReader(body), &e, nil)
	var large *cut.TooLargeError
	if !errors.As(err, &large) || large.Ordinal != 1 || large.Bytes != 101 || large.AtLeast {
		t.Errorf("error %v, want record 1 of 101 bytes", err)
	}
	endless := io.MultiReader(strings.NewReader(`{"data":[1,2,"`), endlessReader{})
	_, err = cut.Reader(endless, &e, nil)
	if !errors.As(err, &large) || large.Ordinal != 2 || !large.AtLeast {
		t.Errorf("error %v, want record 2 of more than 100 bytes", err)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestFind(t *testing.T) {
	f := cut.NewFields([]string{"id"}, []string{"a", "b"}, []string{"a"}, []string{"id"}, []string{"z", "y", "x"})
	for object, want := range map[string][]string{
		`{"id":7}`: {"7", "", "", "7", ""},
		`{"x":{"id":1},"a":{"c":"}\"","b":[1,{"b":2}]},"id":"q"}`: {`"q"`, `[1,{"b":2}]`, `{"c":"}\"","b":[1,{"b":2}]}`, `"q"`, ""},
		` { "a" : 5 , "id" : null , "z":{"y":{"x":-1.5e3}} } `:    {"null", "", "5", "null", "-1.5e3"},
		`{"\u0069d":1,"id":2}`:                  {"1", "", "", "1", ""},
		`[{"id":1}]`:                            {"", "", "", "", ""},
		`"id"`:                                  {"", "", "", "", ""},
		`{}`:                                    {"", "", "", "", ""},
		`{"a":"x\\","id":"\\\""}`:               {`"\\\""`, "", `"x\\"`, `"\\\""`, ""},
		`{"z":{"y":[]},"a":{"b":{}},"id":true}`: {"true", "{}", `{"b":{}}`, "true", ""},
		`{"z":{"y":5},"z":{"y":{"w":1,"x":"ok"}},"a":{"q":{"b":1}},"b":2}`: {"", "", `{"q":{"b":1}}`, "", `"ok"`},
	} {
		values := make([]jsontext.Value, 5)
		f.Find([]byte(object), values)
		got := make([]string, len(values))
		for i, v := range values {
			got[i] = string(v)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", object, d)
		}
	}
}

// FuzzFind compares Find with a decoder that builds a tree, on whatever is JSON, and asks only that it ends on the
// rest.
func FuzzFind(f *testing.F) {
	f.Add([]byte(`{"id":7,"a":{"b":[1,2,{"c":"}"}]}}`))
	f.Add([]byte(`{"a":"\\\"","id":{}}`))
	f.Add([]byte(`{"a":{"id":1`))
	fields := cut.NewFields([]string{"id"}, []string{"a", "b"})
	f.Fuzz(func(t *testing.T, object []byte) {
		values := make([]jsontext.Value, 2)
		fields.Find(object, values)
		if !jsontext.Value(object).IsValid() { // unique names, valid UTF-8
			return
		}
		var tree map[string]json.RawMessage
		if json.Unmarshal(object, &tree) != nil {
			tree = nil
		}
		var a map[string]json.RawMessage
		if json.Unmarshal(tree["a"], &a) != nil {
			a = nil
		}
		for i, want := range []json.RawMessage{tree["id"], a["b"]} {
			if !bytes.Equal(bytes.TrimSpace(want), values[i]) {
				t.Errorf("%s: value %d is %q, want %q", object, i, values[i], want)
			}
		}
	})
}

// FuzzCut asks that records cut out of what is JSON are those of a decoder that builds a tree, byte for byte, and that
// the rest is refused.
func FuzzCut(f *testing.F) {
	f.Add([]byte(`{"next":"x","data":[{"a":1},2,"3"],"total":3}`))
	f.Add([]byte(`{"data":[{"a":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e := cut.Envelope{Records: []string{"data"}, Fields: [][]string{{"next"}}, MaxRecordBytes: 1 << 20}
		var got []string
		_, err := cut.Bytes(body, &e, collect(&got))
		if err == nil && !jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			t.Fatalf("%q was taken", body)
		}
		if !jsontext.Value(body).IsValid() {
			return
		}
		var tree struct {
			Data *[]json.RawMessage `json:"data"`
		}
		var names map[string]json.RawMessage
		if json.Unmarshal(body, &names) != nil || names["data"] == nil {
			return
		}
		if json.Unmarshal(names["data"], &tree.Data) != nil {
			if err == nil {
				t.Fatalf("%q was taken", body)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		var want []string
		if tree.Data != nil {
			for _, r := range *tree.Data {
				want = append(want, string(r))
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func page(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"data":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"carrier":"UA","flight":1545,"tailnum":"N14228","origin":"EWR","dest":"IAH","air_time":227,"distance":1400,`+
			`"hour":5,"minute":15,"time_hour":"2013-01-01T05:00:00Z","dep_delay":2,"arr_delay":11,"note":"a \"quoted\" text","updated_at":"2024-01-01T00:00:%02dZ"}`, i, i%60)
	}
	b.WriteString(`],"meta":{"next_cursor":"abc"}}`)
	return b.Bytes()
}

func BenchmarkCut(b *testing.B) {
	const n = 100
	body := page(n)
	e := cut.Envelope{Records: []string{"data"}, Fields: [][]string{{"meta", "next_cursor"}}, MaxRecordBytes: 1 << 20}
	fields := cut.NewFields([]string{"id"}, []string{"updated_at"})
	values := make([]jsontext.Value, 2)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := cut.Bytes(body, &e, func(_ int, v []byte) error {
			fields.Find(v, values)
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
}

// TestFieldsWithDotsInTheirNames: sys.id is id in sys, or one name.
func TestFieldsWithDotsInTheirNames(t *testing.T) {
	f := cut.NewFields([]string{"sys", "id"}, []string{"a", "b", "c"}, []string{"x"})
	for record, want := range map[string][]string{
		`{"sys":{"id":1},"a":{"b":{"c":2}},"x":3}`: {"1", "2", "3"},
		`{"sys.id":1,"a.b.c":2,"x":3}`:             {"1", "2", "3"},
		`{"a":{"b.c":2},"sys":{}}`:                 {"", "2", ""},
		`{"a.b":{"c":2},"sys":7,"sys.id":8}`:       {"8", "2", ""},
		`{"sys.idx":1,"a.b":2}`:                    {"", "", ""},
	} {
		values := make([]jsontext.Value, 3)
		f.Find([]byte(record), values)
		got := []string{string(values[0]), string(values[1]), string(values[2])}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", record, d)
		}
	}
}
