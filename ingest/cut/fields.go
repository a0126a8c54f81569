package cut

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Fields finds some fields in JSON objects. It is read-only after [NewFields] and may be used concurrently.
type Fields struct {
	root node
	n    int
}

type node struct {
	name     string // as it stands between the quotes when nothing is escaped
	leaf     []int  // indexes of the paths that end here
	children []*node
}

// NewFields prepares the search for paths of object keys. The same path may occur more than once. Names that follow one
// another in a path are found as one name with dots in it, too: see [pipeline.PathTakes].
func NewFields(paths ...[]string) *Fields {
	f := &Fields{n: len(paths)}
	for i, path := range paths {
		f.root.add(path, i)
	}
	return f
}

// maxJoined bounds the names of a path that are read as one: the ways to read a path double with each.
const maxJoined = 4

func (n *node) add(path []string, leaf int) {
	if len(path) == 0 {
		n.leaf = append(n.leaf, leaf)
		return
	}
	for joined := 1; joined <= min(len(path), maxJoined); joined++ {
		n.child(strings.Join(path[:joined], ".")).add(path[joined:], leaf)
	}
}

func (n *node) child(name string) *node {
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	c := &node{name: name}
	n.children = append(n.children, c)
	return c
}

// Find puts the value of each path into values, which has one element per path; nil where there is none.
// The values are bytes of object, which must be valid JSON. Of equal names the first counts.
func (f *Fields) Find(object []byte, values []jsontext.Value) {
	clear(values)
	s := scanner{b: object, values: values, left: f.n}
	s.space()
	s.value(&f.root)
}

// scanner walks over bytes that are known to be JSON: it looks for the ends of values, not for errors. On bytes
// that are not JSON it still ends, within them.
type scanner struct {
	b      []byte
	i      int
	values []jsontext.Value
	left   int // paths not found yet
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\r' || s.b[s.i] == '\t') {
		s.i++
	}
}

// value walks over the value at s.i and notes what n asks for.
func (s *scanner) value(n *node) {
	start := s.i
	if len(n.children) > 0 && s.i < len(s.b) && s.b[s.i] == '{' {
		s.object(n)
	} else if len(n.leaf) > 0 {
		s.skip()
	}
	if s.i > len(s.b) {
		s.i = len(s.b)
	}
	for _, leaf := range n.leaf {
		if s.values[leaf] == nil {
			s.values[leaf] = jsontext.Value(s.b[start:s.i])
			s.left--
		}
	}
}

func (s *scanner) object(n *node) {
	s.i++ // {
	for s.i < len(s.b) {
		s.space()
		if s.i >= len(s.b) || s.b[s.i] == '}' {
			s.i++
			return
		}
		start := s.i
		s.string()
		name := s.b[start:min(s.i, len(s.b))]
		s.space()
		s.i++ // :
		s.space()
		if s.i >= len(s.b) {
			return
		}
		if c := n.match(name); c != nil {
			before := s.i
			s.value(c)
			if s.i == before { // nothing of c was asked for here: it is not an object
				s.skip()
			}
			if s.left == 0 && len(n.leaf) == 0 {
				s.i = len(s.b) // all found: the rest does not matter
				return
			}
		} else {
			s.skip()
		}
		s.space()
		if s.i < len(s.b) && s.b[s.i] == ',' {
			s.i++
		}
	}
}

// match returns the child for a quoted name, or nil.
func (n *node) match(quoted []byte) *node {
	if len(quoted) < 2 {
		return nil
	}
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		plain, err := jsontext.AppendUnquote(nil, quoted)
		if err != nil {
			return nil
		}
		name = plain
	}
	for _, c := range n.children {
		if c.name == string(name) {
			return c
		}
	}
	return nil
}

// string walks over the string at s.i.
func (s *scanner) string() {
	s.i++
	for s.i < len(s.b) {
		j := bytes.IndexByte(s.b[s.i:], '"')
		if j < 0 {
			s.i = len(s.b)
			return
		}
		end := s.i + j
		back := end
		for back > s.i && s.b[back-1] == '\\' {
			back--
		}
		s.i = end + 1
		if (end-back)%2 == 0 {
			return
		}
	}
}

// skip walks over the value at s.i, whatever it is; it moves on by at least one byte.
func (s *scanner) skip() {
	depth := 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			s.string()
		case '{', '[':
			depth++
			s.i++
			continue
		case '}', ']':
			depth--
			s.i++
		case ',', ':', ' ', '\n', '\r', '\t':
			s.i++
			if depth > 0 {
				continue
			}
		default: // number or literal
			s.i++
			for s.i < len(s.b) && !delimits(s.b[s.i]) {
				s.i++
			}
		}
		if depth <= 0 {
			return
		}
	}
}

func delimits(c byte) bool {
	switch c {
	case ',', ':', '}', ']', '{', '[', '"', ' ', '\n', '\r', '\t':
		return true
	}
	return false
}

// Len is the number of paths.
func (f *Fields) Len() int { return f.n }
