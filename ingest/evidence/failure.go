package evidence

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Failure says why the body is an error, in the API's own words, whatever the status of its answer; empty: it is none.
//
// At the top of the body: errors, error or fault that is not empty, null, false or 0; ok or success that is false;
// status that is error, fail or failed. In response, result or meta: errors and error that are texts, objects or
// arrays, and the others. What leads to the records is none of these.
func (b *Body) Failure(records []string) string {
	for i := range b.fields {
		f := &b.fields[i]
		if strings.HasPrefix(strings.Join(records, ".")+".", strings.Join(f.path, ".")+".") {
			continue
		}
		if len(f.path) > 1 && (len(f.path) > 2 || !slices.Contains(wrappers, plain(f.path[0]))) {
			continue
		}
		if f.failure() {
			return f.path0() + " is " + Short(f.value, failureBytes) + b.words(f)
		}
	}
	return ""
}

const failureBytes = 300

var wrappers = []string{"response", "result", "meta", "responsestatus"}

func (f *field) path0() string { return strings.Join(f.path, ".") }

func (f *field) failure() bool {
	switch plain(f.name()) {
	case "errors", "error", "fault":
		switch f.value.Kind() {
		case '"':
			return f.text() != "" && f.text() != "0" && f.text() != "false"
		case '[', '{':
			return hasItems(f.value)
		case 't':
			return len(f.path) == 1
		case '0':
			n, ok := f.number()
			return len(f.path) == 1 && (!ok || n != 0)
		}
	case "ok", "success", "succeeded", "issuccess":
		return f.value.Kind() == 'f' || f.text() == "false"
	case "status":
		return slices.Contains([]string{"error", "fail", "failed", "failure"}, strings.ToLower(f.text()))
	}
	return false
}

// hasItems reports whether an array or object is not empty.
func hasItems(v jsontext.Value) bool {
	dec := jsontext.NewDecoder(bytes.NewReader(v))
	if _, err := dec.ReadToken(); err != nil {
		return true
	}
	kind := dec.PeekKind()
	return kind != ']' && kind != '}'
}

// words are what the body says besides a field that only says that there is an error.
func (b *Body) words(failure *field) string {
	if k := failure.value.Kind(); k == '{' || k == '[' || k == '"' && plain(failure.name()) != "status" {
		return ""
	}
	for i := range b.fields {
		f := &b.fields[i]
		switch plain(f.name()) {
		case "message", "errormessage", "error", "errors", "detail", "description", "reason", "msg", "errordescription":
			if f.value.Kind() == '"' && f.text() != "" || f.value.Kind() == '{' || f.value.Kind() == '[' && hasItems(f.value) {
				return ", " + f.path0() + " is " + Short(f.value, failureBytes)
			}
		}
	}
	return ""
}
