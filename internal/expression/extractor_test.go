package expression_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/internal/expression"
)

var extracted = [][]string{{"a"}, {"a", "b"}, {"a", "b", "c"}, {"x"}, {"é"}, {}, {"a\"q"}, {"n", "n"}}

func scope(t testing.TB, paths ...[]string) *expression.Scope {
	t.Helper()
	s := expression.NewScope()
	for _, path := range paths {
		s.Slot(path)
	}
	return s
}

// reference reads the whole of a record with jsontext.
func reference(record []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(record))
	if _, err := d.ReadValue(); err != nil {
		return err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.Join(err, errors.New("more"))
	}
	if k := jsontext.Value(bytes.TrimSpace(record)).Kind(); k != '{' {
		return fmt.Errorf("kind %v", k)
	}
	return nil
}

// find returns the token at a path of a valid object, or "".
func find(t testing.TB, object []byte, path []string) string {
	t.Helper()
	if len(path) == 0 {
		return string(object)
	}
	if jsontext.Value(object).Kind() != '{' {
		return ""
	}
	d := jsontext.NewDecoder(bytes.NewReader(object))
	if _, err := d.ReadToken(); err != nil {
		t.Fatal(err)
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			t.Fatal(err)
		}
		is := name.String() == path[0]
		value, err := d.ReadValue()
		if err != nil {
			t.Fatal(err)
		}
		if is {
			return find(t, value, path[1:])
		}
	}
	return ""
}

var records = []string{
	`{}`, ` {"a":1} `, `{"a":{"b":{"c":[1,{"x":2}]}},"x":"y"}`, `{"x":1,"a":{"b":3}}`, `{"a":{"b":2},"x":1}`, `{"a":{"z":0,"b":2}}`,
	`{"\u0061":{"\u0062":1}}`, `{"é":"é"}`, `{"\u00e9":"\ud83d\ude00"}`, `{"a\"q":true}`, `{"n":{"n":null,"m":[[],{},""]}}`,
	`{"a":1,"a":2}`, `{"x":{"y":1,"y":2}}`, `{"a":1,"\u0061":2}`, `{"x":[{"y":1,"\u0079":2}]}`, `{"a":{"b":1,"b":1}}`,
	`{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":1e}`, `{"a":1E+5,"x":-0.0e-1}`, `{"a":+1}`, `{"a":.5}`, `{"a":NaN}`, `{"a":tru}`, `{"a":nulll}`,
	`{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"\ud800"}`, `{"a":"\ud800\u0041"}`, `{"a":"\udc00"}`, "{\"a\":\"\x01\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\xed\xa0\x80\"}",
	`{"a":1,}`, `{,}`, `{"a"}`, `{"a" : [1 , 2 ] , "x":{ } }`, `{"a":1}{}`, `{"a":1`, `{"a":"`, `{"a":"\`, `{"a":"\u00`, `{`, ``, ` `, `[1]`, `"s"`, `1`, `nul`, `[`,
	`{"a":[1,]}`, `{"a":[,1]}`, `{"a":1 "x":2}`, `{'a':1}`, `{"a":1}x`, "\ufeff{}", `{"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`,
	`{"x":1,"n":{"n":5},"a":{"b":{"c":1}}}`, `{"x":1,"x":2}`,
}

func checkExtract(t *testing.T, x *expression.Extractor, f *expression.Frame, record []byte) {
	t.Helper()
	err := x.Extract(f, record)
	if want := reference(record); (err == nil) != (want == nil) {
		t.Fatalf("%q: %v; jsontext: %v", record, err, want)
	}
	if err != nil {
		return
	}
	object := bytes.TrimSpace(record)
	for slot, path := range extracted {
		want := find(t, object, path)
		got := ""
		if f.Slots[slot].Kind() != expression.Missing {
			got = string(f.Slots[slot].AppendJSON(nil))
		}
		if got != want {
			t.Fatalf("%q: %q is %s, want %s", record, path, got, want)
		}
	}
}

func TestExtract(t *testing.T) {
	s := scope(t, extracted...)
	x, f := s.NewExtractor(), s.NewFrame() // the same for all: shapes that were learned must not matter
	for range 2 {
		for _, record := range records {
			checkExtract(t, x, f, []byte(record))
		}
	}
}

func FuzzExtract(f *testing.F) {
	for i, record := range records {
		f.Add([]byte(records[(i*7)%len(records)]), []byte(record))
	}
	s := scope(f, extracted...)
	f.Fuzz(func(t *testing.T, first, second []byte) {
		x, frame := s.NewExtractor(), s.NewFrame()
		for _, record := range [][]byte{first, second, first} {
			checkExtract(t, x, frame, record)
		}
	})
}

func TestManyNames(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `,"n%d":%d`, i, i)
	}
	s := scope(t, []string{"n999"})
	x, f := s.NewExtractor(), s.NewFrame()
	if err := x.Extract(f, []byte("{"+b.String()[1:]+"}")); err != nil || string(f.Slots[0].AppendJSON(nil)) != "999" {
		t.Errorf("%s, %v", f.Slots[0].AppendJSON(nil), err)
	}
	for _, double := range []string{"n3", "n64", "n999"} {
		if err := x.Extract(f, []byte("{"+b.String()[1:]+`,"`+double+`":1}`)); err == nil {
			t.Errorf("%s twice was taken", double)
		}
		if err := x.Extract(f, []byte(`{"o":{`+b.String()[1:]+`,"`+double+`":1}}`)); err == nil {
			t.Errorf("%s twice in an inner object was taken", double)
		}
	}
	deep := strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001)
	if err := x.Extract(f, []byte(`{"a":`+deep+`}`)); err == nil {
		t.Error("a depth of 10,002 was taken")
	}
}
