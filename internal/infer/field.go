package infer

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Field is what a sample shows of a field that is no object, or of an object that is kept whole.
type Field struct {
	Path    []string // of object keys
	Records int      // that were looked at
	Present int      // that have it, null or not
	Nulls   int
	Empty   int // texts of no characters

	Bools, Numbers, Texts, Arrays, Objects int

	whole, fraction int   // most digits before and behind the point
	exponent        bool  // a number is written with one
	negative        bool  //
	least, most     int64 // of whole numbers
	huge            bool  // one has more than 64 bits
	longest         int   // characters of a text
	forms           map[form]int
	places          int // most digits of a fraction of a second
	zoneless        int // times without a zone
	values          map[string]struct{}
	words           bool // a text has blanks
	repeated        bool // a value came twice
}

// Full reports whether each record has a value there.
func (f *Field) Full() bool { return f.Present == f.Records && f.Nulls == 0 && f.Records > 0 }

// Unique reports whether no value came twice; null and what is missing do not count.
func (f *Field) Unique() bool { return !f.repeated && f.Present > f.Nulls }

// Single reports whether all values are texts or numbers.
func (f *Field) Single() bool {
	return f.Bools+f.Arrays+f.Objects == 0 && f.Texts+f.Numbers > 0 && f.fraction == 0 && !f.exponent
}

// Name is the last name of its path.
func (f *Field) Name() string { return f.Path[len(f.Path)-1] }

const (
	deepest = 4  // names in a path
	widest  = 12 // fields of an object that becomes columns; one with more is kept whole
)

// wrappers are names that only hold the record's fields.
var wrappers = []string{"fields", "attributes", "properties", "_source", "node", "doc"}

// Sample is records that were looked at.
type Sample struct {
	Records []jsontext.Value // objects
	Fields  []*Field         // in the order in which they first came
}

// Look takes a sample apart. What is no object is left out.
func Look(records []jsontext.Value) *Sample {
	s := &Sample{}
	for _, r := range records {
		if r.Kind() == '{' {
			s.Records = append(s.Records, r)
		}
	}
	whole := s.whole()
	index := map[string]*Field{}
	for _, r := range s.Records {
		s.object(r, nil, whole, index)
	}
	for _, f := range s.Fields {
		f.Records = len(s.Records)
	}
	return s
}

// Field returns the field at a path, or nil.
func (s *Sample) Field(path ...string) *Field {
	for _, f := range s.Fields {
		if slices.Equal(f.Path, path) {
			return f
		}
	}
	return nil
}

// members calls f for each member of an object.
func members(object jsontext.Value, f func(name string, value jsontext.Value)) {
	dec := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := dec.ReadToken(); err != nil {
		return
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return
		}
		key := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return
		}
		f(key, value)
	}
}

const separator = "\x00"

// objectShape is what objects at one path have in common.
type objectShape struct {
	names map[string]int // how many have a member of that name
	seen  int
}

// whole finds the objects that are kept whole: those with many fields, or with names that are data themselves.
func (s *Sample) whole() map[string]bool {
	shapes := map[string]*objectShape{}
	var walk func(v jsontext.Value, path []string)
	walk = func(v jsontext.Value, path []string) {
		key := strings.Join(path, separator)
		sh := shapes[key]
		if sh == nil {
			sh = &objectShape{names: map[string]int{}}
			shapes[key] = sh
		}
		sh.seen++
		members(v, func(name string, value jsontext.Value) {
			sh.names[name]++
			if value.Kind() == '{' && len(path) < deepest-1 {
				walk(value, append(slices.Clip(path), name))
			}
		})
	}
	for _, r := range s.Records {
		walk(r, nil)
	}
	out := map[string]bool{}
	for key, sh := range shapes {
		if key != "" && sh.whole(strings.Split(key, separator)) {
			out[key] = true
		}
	}
	return out
}

// whole reports whether the objects at a path are kept whole.
func (sh *objectShape) whole(path []string) bool {
	if len(sh.names) == 0 {
		return true
	}
	if len(path) == 1 && slices.Contains(wrappers, path[0]) {
		return false
	}
	total := 0
	for _, n := range sh.names {
		total += n
	}
	scattered := len(sh.names) > 4 && sh.seen > 2 && total*3 < len(sh.names)*sh.seen // most records lack most names
	numbered := false
	for name := range sh.names {
		numbered = numbered || strings.Trim(name, "0123456789-") == ""
	}
	return len(sh.names) > widest || scattered || numbered
}

func (s *Sample) object(v jsontext.Value, path []string, whole map[string]bool, index map[string]*Field) {
	members(v, func(name string, value jsontext.Value) {
		at := append(slices.Clip(path), name)
		key := strings.Join(at, separator)
		if value.Kind() == '{' && len(at) < deepest && !whole[key] {
			if index[key] == nil || index[key].Objects == 0 && index[key].Present == index[key].Nulls {
				s.object(value, at, whole, index)
				return
			}
		}
		f := index[key]
		if f == nil {
			f = &Field{Path: at, forms: map[form]int{}, values: map[string]struct{}{}}
			index[key] = f
			s.Fields = append(s.Fields, f)
		}
		f.see(value)
	})
}

// see notes a value.
func (f *Field) see(v jsontext.Value) {
	f.Present++
	if len(v) < 300 && f.Present-f.Nulls < 20_000 && v.Kind() != 'n' {
		if _, again := f.values[string(v)]; again {
			f.repeated = true
		}
		f.values[string(v)] = struct{}{}
	}
	switch v.Kind() {
	case 'n':
		f.Nulls++
	case 't', 'f':
		f.Bools++
	case '[':
		f.Arrays++
	case '{':
		f.Objects++
	case '0':
		f.Numbers++
		f.number(string(v))
	case '"':
		f.Texts++
		text, _ := jsontext.AppendUnquote(nil, v)
		f.text(string(text))
	}
}

func (f *Field) number(text string) {
	if strings.ContainsAny(text, "eE") {
		f.exponent = true
		return
	}
	f.negative = f.negative || text[0] == '-'
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	f.whole, f.fraction = max(f.whole, len(strings.TrimLeft(whole, "0"))), max(f.fraction, len(fraction))
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		f.huge = true
	}
	if f.Numbers == 1 {
		f.least, f.most = n, n
	}
	f.least, f.most = min(f.least, n), max(f.most, n)
}

func (f *Field) text(text string) {
	if text == "" {
		f.Empty++
		return
	}
	f.longest = max(f.longest, utf8.RuneCountInString(text))
	f.words = f.words || strings.Contains(text, " ")
	kind, places, zone := formOf(text)
	f.forms[kind]++
	f.places = max(f.places, places)
	if !zone {
		f.zoneless++
	}
	if kind == decimalText {
		f.number(strings.TrimLeft(text, "+"))
	}
}

// commonForm is the form that all texts have, but for empty ones; plainText: they have none in common.
func (f *Field) commonForm() form {
	if f.Texts == f.Empty {
		return plainText
	}
	for kind, n := range f.forms {
		if n == f.Texts-f.Empty {
			return kind
		}
	}
	if f.forms[decimalText]+f.forms[wholeText] == f.Texts-f.Empty && f.forms[decimalText] > 0 {
		return decimalText
	}
	return plainText
}
