package cut

import (
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// rest collects the answer without its records. What it holds of one member of an object on the way to the records, or
// to a field, is bounded, and so is the whole: an API may send along much more than its records.
type rest struct {
	b     []byte
	limit int  // for the member in hand
	off   bool // it is full: the members that follow are left out
}

const (
	restBytes    = 256 << 10 // of the whole
	memberBytes  = 16 << 10  // of a member
	restString   = 1 << 10   // of a text
	restElements = 16        // of an array
	restDepth    = 8
)

// copyValue copies the next value, shortened where it is large.
func (c *cutter) copyValue(depth int) error {
	kind := c.dec.PeekKind()
	switch {
	case len(c.rest.b) > c.rest.limit || depth > restDepth:
		c.rest.raw("null")
		return c.dec.SkipValue()
	case kind == '{' || kind == '[':
		return c.copyItems(depth, kind)
	}
	v, err := c.dec.ReadValue()
	if err == nil {
		c.rest.scalar(v)
	}
	return err
}

func (c *cutter) copyItems(depth int, kind jsontext.Kind) error {
	if _, err := c.dec.ReadToken(); err != nil {
		return err
	}
	closing := jsontext.Kind('}')
	if kind == '[' {
		closing = ']'
	}
	c.rest.raw(string(rune(kind)))
	for n := 0; c.dec.PeekKind() != closing; n++ {
		var name string
		if kind == '{' {
			token, err := c.dec.ReadToken()
			if err != nil {
				return err
			}
			name = token.String()
		}
		var err error
		if len(c.rest.b) > c.rest.limit || kind == '[' && n >= restElements {
			err = c.dec.SkipValue()
		} else {
			c.rest.comma()
			if kind == '{' {
				c.rest.name(name)
			}
			err = c.copyValue(depth + 1)
		}
		if err != nil {
			return err
		}
	}
	c.rest.raw(string(rune(closing)))
	_, err := c.dec.ReadToken()
	return err
}

func (r *rest) raw(text string) {
	if !r.off {
		r.b = append(r.b, text...)
	}
}

// end closes an object on the way to the records or a field.
func (r *rest) end() {
	r.off = false
	r.raw("}")
}

// comma separates an element from the one before it.
func (r *rest) comma() {
	if last := r.b[len(r.b)-1]; last != '{' && last != '[' {
		r.b = append(r.b, ',')
	}
}

// member begins a member of an object on the way to the records or a field.
func (r *rest) member(name string) {
	if r.off = len(r.b) > restBytes; r.off {
		r.limit = 0
		return
	}
	r.comma()
	r.name(name)
	r.limit = len(r.b) + memberBytes
}

func (r *rest) name(name string) {
	r.b, _ = jsontext.AppendQuote(r.b, name) // what is not UTF-8 is replaced
	r.b = append(r.b, ':')
}

// scalar adds a value that is no object or array. A long text is cut.
func (r *rest) scalar(v jsontext.Value) {
	if r.off {
		return
	}
	if v.Kind() != '"' || len(v) <= restString && utf8.Valid(v) {
		r.b = append(r.b, v...)
		return
	}
	text, _ := jsontext.AppendUnquote(nil, v)
	r.b, _ = jsontext.AppendQuote(r.b, text[:min(len(text), restString)])
}

// field adds a value that was taken whole.
func (r *rest) field(v jsontext.Value) {
	switch {
	case r.off:
	case v.Kind() != '{' && v.Kind() != '[':
		r.scalar(v)
	case len(v) <= memberBytes && utf8.Valid(v):
		r.b = append(r.b, v...)
	default:
		r.raw("null")
	}
}
