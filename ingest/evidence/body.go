package evidence

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/pipeline"
)

// Body is what an answer says besides its records. It is read-only.
type Body struct {
	fields []field // in the order of the answer
}

type field struct {
	path  []string // of object keys
	value jsontext.Value
}

const (
	maxDepth  = 4
	maxFields = 500
)

// Read takes the rest of an answer apart: see cut.Answer. Of nil, and of what is no JSON object, it is a Body without
// fields.
func Read(rest jsontext.Value) *Body {
	b := &Body{}
	b.object(rest, nil)
	return b
}

func (b *Body) object(object jsontext.Value, path []string) {
	if len(object) == 0 || object.Kind() != '{' || len(path) >= maxDepth {
		return
	}
	dec := jsontext.NewDecoder(bytes.NewReader(object),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := dec.ReadToken(); err != nil {
		return
	}
	for dec.PeekKind() == '"' && len(b.fields) < maxFields {
		name, err := dec.ReadToken()
		if err != nil {
			return
		}
		at := append(slices.Clip(path), name.String())
		value, err := dec.ReadValue()
		if err != nil {
			return
		}
		value = value.Clone()
		b.fields = append(b.fields, field{at, value})
		b.object(value, at)
	}
}

func (f *field) name() string { return f.path[len(f.path)-1] }

// is shows a field and its value.
func (f *field) is() string { return pipeline.FormatPath(f.path) + " is " + Short(f.value, 80) }

// text is a JSON string's text.
func (f *field) text() string {
	if f.value.Kind() != '"' {
		return ""
	}
	text, _ := jsontext.AppendUnquote(nil, f.value)
	return string(text)
}

// Short is a JSON value in at most n bytes, and a little more where it is cut.
func Short(v jsontext.Value, n int) string {
	text := strings.Join(strings.Fields(string(v)), " ")
	if len(text) > n {
		text = strings.ToValidUTF8(text[:n], "") + "…"
	}
	return text
}

// Names lists the fields as paths, for messages; of many, the first.
func (b *Body) Names() string {
	const most = 20
	var names []string
	for i := range b.fields {
		f := &b.fields[i]
		if f.value.Kind() == '{' && len(f.path) < maxDepth && len(f.value) > 2 {
			continue // its own fields follow
		}
		if len(names) == most {
			names = append(names, "…")
			break
		}
		names = append(names, pipeline.FormatPath(f.path))
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// plain is a name without what spellings differ in: next_page, nextPage and @odata.next-page are one.
func plain(name string) string {
	return strings.TrimPrefix(signs.Replace(strings.ToLower(name)), "odata")
}

var signs = strings.NewReplacer("_", "", "-", "", ".", "", "@", "", "$", "", " ", "")
