package expression

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// scanner walks over JSON text and checks it strictly: RFC 8259, UTF-8, no name twice in an object. It
// accepts what jsontext.Decoder accepts by default, which its fuzz test compares it with; it is there because
// it takes a third of the time, which is most of the processor's.
//
// Its methods take the index at which something begins and return the index after it, or -1 with err set.
type scanner struct {
	text  []byte
	err   error
	depth int
	names []name // of the objects around, the innermost last
}

// name is a name that an object has already.
type name struct {
	hash uint64
	text []byte // without quotes and escapes
}

const (
	maxDepth = 10_000
	// fewNames is up to where names are compared with each other; more are kept in a map.
	fewNames = 64
)

var (
	errEnds = errors.New("it ends too early")
	errUTF8 = errors.New("a string is not UTF-8")
)

func (s *scanner) fail(i int, err error) int {
	s.err = err
	if !errors.Is(err, errEnds) {
		s.err = fmt.Errorf("byte %d: %w", i, err)
	}
	return -1
}

// unexpected fails at i, where something else should be.
func (s *scanner) unexpected(i int, want string) int {
	if i >= len(s.text) {
		return s.fail(i, errEnds)
	}
	return s.fail(i, fmt.Errorf("%q instead of %s", s.text[i], want))
}

func (s *scanner) space(i int) int {
	for i < len(s.text) && (s.text[i] == ' ' || s.text[i] == '\n' || s.text[i] == '\r' || s.text[i] == '\t') {
		i++
	}
	return i
}

// value scans a value without looking into it, but to check it.
func (s *scanner) value(i int) int {
	if i >= len(s.text) {
		return s.fail(i, errEnds)
	}
	switch c := s.text[i]; {
	case c == '"':
		return s.str(i)
	case c == '-' || c-'0' <= 9:
		return s.number(i)
	case c == '{':
		return s.object(i)
	case c == '[':
		return s.array(i)
	case c == 't':
		return s.literal(i, "true")
	case c == 'f':
		return s.literal(i, "false")
	case c == 'n':
		return s.literal(i, "null")
	}
	return s.unexpected(i, "a value")
}

func (s *scanner) literal(i int, want string) int {
	if end := i + len(want); end <= len(s.text) && string(s.text[i:end]) == want {
		return end
	}
	return s.fail(i, errors.New("neither true, false nor null"))
}

// plain says which bytes of a string stand for themselves and need no further look.
var plain = func() (p [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		p[c] = c != '"' && c != '\\'
	}
	return p
}()

func (s *scanner) str(start int) int {
	i := start + 1
	for i < len(s.text) {
		switch c := s.text[i]; {
		case plain[c]:
			i++
		case c == '"':
			return i + 1
		case c == '\\':
			if i = s.escape(i); i < 0 {
				return i
			}
		case c < ' ':
			return s.fail(i, fmt.Errorf("%q in a string", c))
		default:
			r, size := utf8.DecodeRune(s.text[i:])
			if r == utf8.RuneError && size == 1 {
				return s.fail(i, errUTF8)
			}
			i += size
		}
	}
	return s.fail(i, errEnds)
}

// escape scans an escape; half of a surrogate pair is not UTF-8.
func (s *scanner) escape(i int) int {
	if i+1 >= len(s.text) {
		return s.fail(i, errEnds)
	}
	switch s.text[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		first, ok := s.hex(i)
		if !ok {
			return s.fail(i, errors.New(`four hexadecimal digits must follow \u`))
		}
		if first < 0xd800 || first > 0xdfff {
			return i + 6
		}
		second, ok := s.hex(i + 6)
		if !ok || first > 0xdbff || second < 0xdc00 || second > 0xdfff {
			return s.fail(i, errUTF8)
		}
		return i + 12
	}
	return s.fail(i, fmt.Errorf(`\%c is no escape`, s.text[i+1]))
}

// hex reads \uXXXX.
func (s *scanner) hex(i int) (n rune, ok bool) {
	if i+6 > len(s.text) || s.text[i] != '\\' || s.text[i+1] != 'u' {
		return 0, false
	}
	for _, c := range s.text[i+2 : i+6] {
		switch {
		case c-'0' <= 9:
			n = n<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

func (s *scanner) digits(i int) int {
	start := i
	for i < len(s.text) && s.text[i]-'0' <= 9 {
		i++
	}
	if i == start {
		return s.unexpected(i, "a digit")
	}
	return i
}

func (s *scanner) number(i int) int {
	if s.text[i] == '-' {
		i++
	}
	if i < len(s.text) && s.text[i] == '0' {
		i++ // and no further digit
	} else if i = s.digits(i); i < 0 {
		return i
	}
	if i < len(s.text) && s.text[i] == '.' {
		if i = s.digits(i + 1); i < 0 {
			return i
		}
	}
	if i < len(s.text) && s.text[i]|0x20 == 'e' {
		i++
		if i < len(s.text) && (s.text[i] == '+' || s.text[i] == '-') {
			i++
		}
		return s.digits(i)
	}
	return i
}

func (s *scanner) enter(i int) bool {
	s.depth++
	if s.depth > maxDepth {
		s.fail(i, fmt.Errorf("more than %d objects and arrays in each other", maxDepth))
	}
	return s.depth <= maxDepth
}

func (s *scanner) array(i int) int {
	if !s.enter(i) {
		return -1
	}
	if i = s.space(i + 1); i < len(s.text) && s.text[i] == ']' {
		s.depth--
		return i + 1
	}
	for {
		if i = s.value(s.space(i)); i < 0 {
			return i
		}
		if i = s.space(i); i >= len(s.text) {
			return s.fail(i, errEnds)
		}
		switch s.text[i] {
		case ',':
			i++
		case ']':
			s.depth--
			return i + 1
		default:
			return s.unexpected(i, ", or ]")
		}
	}
}

func (s *scanner) object(i int) int {
	if !s.enter(i) {
		return -1
	}
	set := nameSet{base: len(s.names)}
	i, more := s.first(i)
	for more {
		end := s.key(i, &set)
		if end < 0 {
			return end
		}
		if i = s.colon(end); i < 0 {
			return i
		}
		if i = s.value(i); i < 0 {
			return i
		}
		i, more = s.next(i)
	}
	s.names = s.names[:set.base]
	s.depth--
	return i
}

// first returns the index of an object's first name, or the one after its end.
func (s *scanner) first(i int) (at int, more bool) {
	i = s.space(i + 1)
	if i < len(s.text) && s.text[i] == '}' {
		return i + 1, false
	}
	if i >= len(s.text) || s.text[i] != '"' {
		return s.unexpected(i, "a name"), false
	}
	return i, true
}

// next returns the index of an object's next name, or the one after its end.
func (s *scanner) next(i int) (at int, more bool) {
	i = s.space(i)
	if i < len(s.text) && s.text[i] == ',' {
		if i = s.space(i + 1); i < len(s.text) && s.text[i] == '"' {
			return i, true
		}
		return s.unexpected(i, "a name"), false
	}
	if i < len(s.text) && s.text[i] == '}' {
		return i + 1, false
	}
	return s.unexpected(i, ", or }"), false
}

// colon returns the index of the value after a name.
func (s *scanner) colon(i int) int {
	if i = s.space(i); i >= len(s.text) || s.text[i] != ':' {
		return s.unexpected(i, ":")
	}
	return s.space(i + 1)
}

// key scans a name of an object, and refuses one that it has already.
func (s *scanner) key(i int, set *nameSet) int {
	end := s.str(i)
	if end < 0 {
		return end
	}
	if !s.add(set, unescaped(s.text[i:end])) {
		return s.fail(i, fmt.Errorf("the name %s is there twice in an object", s.text[i:end]))
	}
	return end
}

// unescaped is the text of a valid JSON string.
func unescaped(token []byte) []byte {
	inner := token[1 : len(token)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		inner, _ = jsontext.AppendUnquote(nil, token)
	}
	return inner
}

// nameSet is the names that one object has so far.
type nameSet struct {
	base int                 // of scanner.names
	many map[string]struct{} // instead, from fewNames on
}

// add takes in a name, unless it is there.
func (s *scanner) add(set *nameSet, text []byte) bool {
	if set.many != nil {
		before := len(set.many)
		set.many[string(text)] = struct{}{}
		return len(set.many) > before
	}
	n := name{hash(text), text}
	there := s.names[set.base:]
	for i := range there {
		if there[i].hash == n.hash && bytes.Equal(there[i].text, text) {
			return false
		}
	}
	s.names = append(s.names, n)
	if len(there) == fewNames {
		set.many = make(map[string]struct{}, 4*fewNames)
		for _, n := range s.names[set.base:] {
			set.many[string(n.text)] = struct{}{}
		}
	}
	return true
}

// hash is good enough to tell the names of an object apart, and cheap for short ones.
func hash(b []byte) uint64 {
	const prime = 0x9e3779b97f4a7c15
	h := uint64(len(b))
	for len(b) >= 8 {
		h = (h ^ binary.LittleEndian.Uint64(b)) * prime
		h ^= h >> 29
		b = b[8:]
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * prime
	}
	return h ^ h>>32
}
