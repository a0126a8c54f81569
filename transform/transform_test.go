package transform_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/transform"
)

func TestRegister(t *testing.T) {
	same := func(record []byte) ([]byte, error) { return record, nil }
	transform.Register("same", "1", same)
	transform.Register("same", "2.0-rc", same)
	if transform.Lookup("same", "1") == nil || transform.Lookup("same", "3") != nil {
		t.Error("1 is registered, and 3 is not")
	}
	if all := transform.Registered(); !slices.Contains(all, "same@1") || !slices.Contains(all, "same@2.0-rc") || !slices.IsSorted(all) {
		t.Errorf("registered: %v", all)
	}
	for _, c := range []struct {
		name, version string
		f             transform.Func
	}{{"same", "1", same}, {"Same", "1", same}, {"same@1", "1", same}, {"", "1", same}, {"other", "", same}, {"other", "a b", same}, {"other", "1", nil}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q %q is taken", c.name, c.version)
				}
			}()
			transform.Register(c.name, c.version, c.f)
		}()
	}
}

func TestFields(t *testing.T) {
	f := transform.Fields(func(members map[string]json.RawMessage) (bool, error) {
		if string(members["n"]) == "0" {
			return false, nil
		}
		if members["n"] == nil {
			return true, errors.New("no n")
		}
		members["twice"] = members["n"]
		delete(members, "drop")
		return true, nil
	})
	for record, want := range map[string]string{
		`{"n": 12345678901234567890.5, "drop": 1, "a": {"b": 7E+3}}`: `{"a":{"b":7E+3},"n":12345678901234567890.5,"twice":12345678901234567890.5} <nil>`,
		`{"n": 0}`: " <nil>",
		`{}`:       " no n",
		`[]`:       " json: cannot unmarshal array into Go value of type map[string]json.RawMessage",
	} {
		out, err := f([]byte(record))
		if got := fmt.Sprintf("%s %v", out, err); got != want {
			t.Errorf("%s: %s, want %s", record, got, want)
		}
	}
}

func ExampleFields() {
	shout := transform.Fields(func(members map[string]json.RawMessage) (bool, error) {
		members["loud"] = json.RawMessage(`true`)
		return true, nil
	})
	out, err := shout([]byte(`{"id": 7}`))
	fmt.Println(string(out), err)
	// Output: {"id":7,"loud":true} <nil>
}
