package expression

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Extractor cuts the tokens of a scope's paths out of records, in one pass that also checks the whole record
// (scanner). One goroutine may use it at a time.
//
// Records of a stream mostly have the same names in the same order. So each object that paths lead into
// remembers the names of the last one, with what is wanted of them; while a record has them in this order,
// some perhaps left out, a name costs one comparison, and none can be there twice.
type Extractor struct {
	scanner
	root  *branch
	frame *Frame
}

// branch is a node of the trie of paths.
type branch struct {
	name     []byte
	slot     int // -1: no path ends here
	children []*branch
	shape    []expected
}

// expected is a name of an object as it was written, and what is wanted of its value; nil: nothing.
type expected struct {
	token []byte
	want  *branch
}

// NewExtractor returns an extractor for the paths that s has now.
func (s *Scope) NewExtractor() *Extractor {
	root := &branch{slot: -1}
	for slot, path := range s.paths {
		b := root
		for _, name := range path {
			next := b.child([]byte(name))
			if next == nil {
				next = &branch{name: []byte(name), slot: -1}
				b.children = append(b.children, next)
			}
			b = next
		}
		b.slot = slot
	}
	return &Extractor{root: root}
}

func (b *branch) child(name []byte) *branch {
	for _, c := range b.children {
		if bytes.Equal(c.name, name) {
			return c
		}
	}
	return nil
}

// Extract resets f and fills its slots from a record, which must be a JSON object. The slots refer to record, which
// must stay as it is while they are used. The error says what is wrong with the record.
func (x *Extractor) Extract(f *Frame, record []byte) error {
	f.Reset()
	x.frame, x.text, x.err, x.depth, x.names = f, record, nil, 0, x.names[:0]
	i := x.space(0)
	if i < len(record) && record[i] != '{' {
		if end := x.value(i); end >= 0 {
			return fmt.Errorf("the record is not a JSON object but of type %s", JSON(record[i:]).kind)
		}
	} else if i >= len(record) {
		x.fail(i, errEnds)
	} else if i = x.members(i, x.root); i >= 0 {
		if i = x.space(i); i < len(record) {
			x.fail(i, errors.New("there is more after the object"))
		}
	}
	if x.err != nil {
		return fmt.Errorf("the record is not valid JSON: %w", x.err)
	}
	return nil
}

// field scans the value at i; want is nil if nothing in it is wanted.
func (x *Extractor) field(i int, want *branch) int {
	if want == nil {
		return x.value(i)
	}
	if len(want.children) > 0 && i < len(x.text) && x.text[i] == '{' {
		return x.members(i, want)
	}
	end := x.value(i)
	if end >= 0 && want.slot >= 0 {
		x.frame.Slots[want.slot] = JSON(x.text[i:end])
	}
	return end
}

// members scans the object at i, whose paths are those of b.
func (x *Extractor) members(start int, b *branch) int {
	if !x.enter(start) {
		return -1
	}
	known := 0 // names of the shape that have been passed
	i, more := x.first(start)
	for more {
		at := b.expect(x.text[i:], known)
		if at < 0 {
			i = x.unknown(start, i, b)
			break
		}
		known = at + 1
		if i = x.colon(i + len(b.shape[at].token)); i < 0 {
			return i
		}
		if i = x.field(i, b.shape[at].want); i < 0 {
			return i
		}
		i, more = x.next(i)
	}
	x.depth--
	if i >= 0 && b.slot >= 0 {
		x.frame.Slots[b.slot] = JSON(x.text[start:i])
	}
	return i
}

// expect returns the index in the shape, from known on, of the name at the beginning of text; -1: it is not there.
func (b *branch) expect(text []byte, known int) int {
	for at := known; at < len(b.shape); at++ {
		if token := b.shape[at].token; len(text) > len(token) && string(text[:len(token)]) == string(token) {
			return at
		}
	}
	return -1
}

// unknown goes on at i, in the object that begins at start, with a name that the shape does not have, and learns the
// object's shape.
func (x *Extractor) unknown(start, i int, b *branch) int {
	set := nameSet{base: len(x.names)}
	var shape []expected
	// The names before i have been passed by the shape; they are scanned again, to be compared with the others.
	for at, more := x.first(start); more && at < i; {
		end := x.key(at, &set)
		if end < 0 {
			return end
		}
		shape = append(shape, x.learn(at, end, b))
		if at = x.colon(end); at < 0 {
			return at
		}
		if at = x.value(at); at < 0 {
			return at
		}
		at, more = x.next(at)
	}
	for more := true; more; {
		end := x.key(i, &set)
		if end < 0 {
			return end
		}
		m := x.learn(i, end, b)
		shape = append(shape, m)
		if i = x.colon(end); i < 0 {
			return i
		}
		if i = x.field(i, m.want); i < 0 {
			return i
		}
		i, more = x.next(i)
	}
	x.names = x.names[:set.base]
	if i >= 0 && len(shape) <= fewNames {
		for at := range shape {
			shape[at].token = slices.Clone(shape[at].token)
		}
		b.shape = shape
	}
	return i
}

func (x *Extractor) learn(i, end int, b *branch) expected {
	token := x.text[i:end]
	return expected{token, b.child(unescaped(token))}
}
