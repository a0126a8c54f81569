package file

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// fill gives each key below v, a struct of keys.go, that is absent from the file the value that its tag "default"
// names. It stays absent (not set), so that what it inherits from elsewhere in the file still comes first. A default
// with < in it stands for another value of the file; build knows it.
func fill(v reflect.Value) {
	for _, known := range fieldsOf(v.Type()).byName {
		at := v.FieldByIndex(known.index)
		f, ok := reflect.TypeAssert[field](at.Addr())
		if !ok {
			continue
		}
		if value := known.tag.Get("default"); value != "" && !strings.Contains(value, "<") && !f.isSet() {
			if err := f.(assumer).assume(value); err != nil { //nolint:forcetypeassert // a kind with defaults assumes them
				panic(fmt.Sprintf("tag default of %s: %v", known.tag.Get("key"), err))
			}
		}
		if n, ok := f.(nester); ok {
			for _, inner := range n.nested() {
				fill(inner)
			}
		}
	}
}

// assumer is a field that can be given its value by a tag.
type assumer interface{ assume(value string) error }

// nester is a field that holds structs of keys.go.
type nester interface{ nested() []reflect.Value }

func (t *text) assume(value string) error { //nolint:unparam // as assumer says
	t.s = value
	return nil
}

func (i *integer) assume(value string) (err error) {
	i.n, err = strconv.ParseInt(value, 10, 64)
	return err
}

func (f *flag) assume(value string) (err error) {
	f.on, err = strconv.ParseBool(value)
	return err
}

func (v *duration) assume(value string) (err error) {
	v.d, err = parseDuration(value)
	return err
}

func (v *percent) assume(value string) (err error) {
	v.p, err = parsePercent(value)
	return err
}

func (v *size) assume(value string) (err error) {
	v.n, err = parseSize(value)
	return err
}

func (c *choice[T]) assume(value string) error {
	c.word.set, c.word.s = true, value
	return nil
}

func (o *object[T]) nested() []reflect.Value { return structs(&o.v) }

func (c *choice[T]) nested() []reflect.Value { return structs(&c.v) }

func (m *mapping[T]) nested() []reflect.Value {
	var out []reflect.Value
	for i := range m.entries {
		out = append(out, structs(&m.entries[i].v)...)
	}
	return out
}

func (l *list[T]) nested() []reflect.Value {
	var out []reflect.Value
	for i := range l.items {
		out = append(out, structs(&l.items[i].v)...)
	}
	return out
}

// structs is what v points to if it is a struct of keys.go, and nothing if it is a field.
func structs(v any) []reflect.Value {
	if _, ok := v.(field); ok {
		return nil
	}
	return []reflect.Value{reflect.ValueOf(v).Elem()}
}
