package rows

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/millrace-io/millrace/internal/columntype"
)

// inKeyOrder sorts changes of one table by their primary key: InnoDB writes neighbours together, and two writers take
// locks in the same order. Keys of a batch begin alike, so the eight bytes after that decide nearly always.
func inKeyOrder(changes []*Change) {
	type keyed struct {
		head uint64
		*Change
	}
	if len(changes) < 2 {
		return
	}
	at, common := apart(changes)
	t := changes[0].Table
	byLength := t.Columns[t.Key[at]].Kind == columntype.Integer
	all := make([]keyed, len(changes))
	for i, x := range changes {
		value := x.Key.At(at).Bytes
		var head [8]byte
		if byLength { // 9 before 10
			head[0] = byte(min(len(value), 255))
			copy(head[1:], value[common:])
		} else {
			copy(head[:], value[common:])
		}
		all[i] = keyed{binary.BigEndian.Uint64(head[:]), x}
	}
	slices.SortFunc(all, func(a, b keyed) int {
		if c := cmp.Compare(a.head, b.head); c != 0 {
			return c
		}
		return CompareKeys(a.Key, b.Key)
	})
	for i := range all {
		changes[i] = all[i].Change
	}
}

// apart returns the first key column in which changes differ, and with how many bytes their values in it begin alike.
func apart(changes []*Change) (column, common int) {
	for column = range changes[0].Table.Key {
		first, same := changes[0].Key.At(column).Bytes, true
		common = len(first)
		for _, x := range changes {
			value := x.Key.At(column).Bytes
			same = same && len(value) == len(first)
			common = min(common, len(value))
			for string(value[:common]) != string(first[:common]) {
				common--
			}
		}
		if !same || common < len(first) {
			return column, common
		}
	}
	return column, common
}

// CompareKeys compares the keys of two rows of one table, value by value: numbers by how many digits they have, then,
// as all others, by their bytes. It is nearly the order of the primary key (that of numbers below zero is another), and
// always the same one: 0 is for equal keys alone.
func CompareKeys(a, b Values) int {
	for len(a) > 0 && len(b) > 0 {
		var x, y Value
		x, a = a.Next()
		y, b = b.Next()
		if x.Form == Number && y.Form == Number && len(x.Bytes) != len(y.Bytes) {
			return cmp.Compare(len(x.Bytes), len(y.Bytes))
		}
		if c := bytes.Compare(x.Bytes, y.Bytes); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}
