package file

import (
	"reflect"
	"strings"
	"sync"
)

// structFields are the keys of a struct of keys.go, those of embedded structs included.
type structFields struct {
	names    []string // in order
	required []string
	oneOf    []string // exactly one of these must be there
	byName   map[string]structField
}

type structField struct {
	index []int
	typ   reflect.Type
	tag   reflect.StructTag
}

var fieldCache sync.Map // reflect.Type → *structFields

func fieldsOf(t reflect.Type) *structFields {
	if f, ok := fieldCache.Load(t); ok {
		return f.(*structFields) //nolint:forcetypeassert // what is stored below
	}
	f := &structFields{byName: map[string]structField{}}
	f.collect(t, nil)
	fieldCache.Store(t, f)
	return f
}

func (f *structFields) collect(t reflect.Type, index []int) {
	for i := range t.NumField() {
		sf := t.Field(i)
		at := append(append([]int{}, index...), i)
		switch {
		case sf.Name == "_":
			f.oneOf = strings.Fields(sf.Tag.Get("one"))
		case sf.Anonymous:
			f.collect(sf.Type, at)
		default:
			name, option, _ := strings.Cut(sf.Tag.Get("key"), ",")
			f.names = append(f.names, name)
			f.byName[name] = structField{at, sf.Type, sf.Tag}
			if option == "required" {
				f.required = append(f.required, name)
			}
		}
	}
}

// inherit fills the fields of dst that are not set with those of src. Both point to the same struct type of keys.go.
func inherit[T any](dst, src *T) {
	d, s := reflect.ValueOf(dst).Elem(), reflect.ValueOf(src).Elem()
	for _, known := range fieldsOf(d.Type()).byName {
		to := d.FieldByIndex(known.index)
		if f, ok := reflect.TypeAssert[field](to.Addr()); ok && !f.isSet() {
			to.Set(s.FieldByIndex(known.index))
		}
	}
}
