package evidence

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Role is what a field of an answer says of the others, by its name and value.
type Role int

// The roles.
const (
	NoRole   Role = iota
	SaysMore      // that another page follows, or not: has_more
	SaysLast      // that this is the last page, or not: is_last
	LeadsOn       // cursor or URL of the next page
	AllCount      // number of all records
	AllPages      // number of all pages
)

// Field is a field of an answer besides its records.
type Field struct {
	Path  []string // of object keys
	Value jsontext.Value
	Role  Role
}

// All lists the fields, in the order of the answer; objects too, before their members.
func (b *Body) All() []Field {
	out := make([]Field, len(b.fields))
	for i := range b.fields {
		f := &b.fields[i]
		out[i] = Field{f.path, f.value, NoRole}
		_, whole := f.number()
		name := plain(f.name())
		if len(f.path) > 1 && name == "value" { // total: {value: 42, relation: eq}
			name = plain(f.path[len(f.path)-2])
		}
		switch {
		case slices.Contains(moreNames, name) && (f.value.Kind() == 't' || f.value.Kind() == 'f'):
			out[i].Role = SaysMore
		case slices.Contains(lastNames, name) && (f.value.Kind() == 't' || f.value.Kind() == 'f'):
			out[i].Role = SaysLast
		case slices.Contains(nextNames, name):
			out[i].Role = LeadsOn
		case slices.Contains(totalNames, name) && whole:
			out[i].Role = AllCount
		case slices.Contains(pagesNames, name) && whole:
			out[i].Role = AllPages
		}
	}
	return out
}

// Plain is a name without what spellings differ in: next_page, nextPage and @odata.next-page are one.
func Plain(name string) string { return plain(name) }

// SizeName reports whether a parameter of that name asks for a number of records.
func SizeName(name string) bool { return slices.Contains(limitNames, plain(name)) }
