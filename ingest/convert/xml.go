package convert

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/encoding/htmlindex"
)

// XML says where the records of a document are.
type XML struct {
	Records []string // names of elements, from the root to the records, without prefixes
	UTF8    bool     // the text is UTF-8, whatever the document says of its encoding
}

// document reads a document and gives it as JSON: of an element that is on the way to the records, an object with its
// children; the records, as an array; of any other, a text if it has neither attributes nor children, else an object of
// both, in which attributes are named @name, the text #text, and elements that come more than once are an array.
type document struct {
	x     XML
	dec   *xml.Decoder
	path  []string // of the elements that are open, as far as they are on the way
	first []bool   // for each: no child was written yet
	array bool     // the array of records is open
	had   bool     // there is one
	buf   []byte
	at    int
	err   error
}

// Reader gives the document in r as JSON.
func (x XML) Reader(r io.Reader) io.Reader {
	d := &document{x: x, dec: xml.NewDecoder(r), first: []bool{true}}
	d.dec.CharsetReader = func(name string, in io.Reader) (io.Reader, error) {
		if x.UTF8 {
			return in, nil
		}
		set, err := htmlindex.Get(name)
		if err != nil {
			return nil, fmt.Errorf("the encoding %.40q is not known", name)
		}
		return set.NewDecoder().Reader(in), nil
	}
	d.buf = append(d.buf, '{')
	return d
}

// Read is that of [io.Reader].
func (d *document) Read(p []byte) (int, error) {
	for d.at == len(d.buf) && d.err == nil {
		d.buf, d.at = d.buf[:0], 0
		d.err = d.token()
	}
	if d.at == len(d.buf) {
		return 0, d.err
	}
	n := copy(p, d.buf[d.at:])
	d.at += n
	return n, nil
}

// token reads what comes next on the way to the records.
func (d *document) token() error {
	token, err := d.dec.Token()
	switch {
	case errors.Is(err, io.EOF) && d.first == nil:
		return io.EOF
	case errors.Is(err, io.EOF) && d.first[0]:
		return errors.New("XML: the document has no element")
	case errors.Is(err, io.EOF): // the decoder says that all elements are closed
		d.buf, d.first = append(d.buf, '}'), nil
		return nil
	case err != nil:
		return fmt.Errorf("XML: %w", err)
	}
	switch t := token.(type) {
	case xml.StartElement:
		return d.element(t)
	case xml.EndElement:
		d.leave()
	}
	return nil
}

// element reads an element: one on the way is opened, any other is read whole.
func (d *document) element(t xml.StartElement) error {
	name := t.Name.Local
	here := append(slices.Clip(d.path), name)
	record := slices.Equal(here, d.x.Records)
	if !record && d.array {
		d.close()
	}
	if record && d.array {
		d.buf = append(d.buf, ',')
	} else {
		d.member(name)
	}
	if record && !d.array {
		d.array, d.had = true, true
		d.buf = append(d.buf, '[')
	}
	if !record && len(here) < len(d.x.Records) && slices.Equal(here, d.x.Records[:len(here)]) {
		d.buf = append(d.buf, '{')
		d.path, d.first = here, append(d.first, true)
		d.attributes(t)
		return nil
	}
	v, err := d.whole(t, 0)
	if err != nil {
		return fmt.Errorf("XML: %w", err)
	}
	d.buf = v.append(d.buf)
	return nil
}

// member begins a member of the element in hand.
func (d *document) member(name string) {
	if !d.first[len(d.first)-1] {
		d.buf = append(d.buf, ',')
	}
	d.first[len(d.first)-1] = false
	d.buf = appendText(d.buf, name)
	d.buf = append(d.buf, ':')
}

func (d *document) attributes(t xml.StartElement) {
	for _, a := range t.Attr {
		if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
			d.member("@" + a.Name.Local)
			d.buf = appendText(d.buf, a.Value)
		}
	}
}

func (d *document) close() {
	d.buf = append(d.buf, ']')
	d.array = false
}

// leave closes an element on the way. One that could have had records, and has none, has an empty array of them.
func (d *document) leave() {
	if d.array {
		d.close()
	}
	if n := len(d.path); n == len(d.x.Records)-1 && !d.had {
		d.member(d.x.Records[n])
		d.buf = append(d.buf, "[]"...)
		d.had = true
	}
	d.buf = append(d.buf, '}')
	d.path, d.first = d.path[:len(d.path)-1], d.first[:len(d.first)-1]
}

// maxDepth of elements within a record.
const maxDepth = 200

// node is an element that was read whole.
type node struct {
	text     strings.Builder
	names    []string // of attributes and children, in order of their first
	values   map[string][]*node
	children bool
}

func (n *node) add(name string, v *node) {
	if n.values == nil {
		n.values = map[string][]*node{}
	}
	if n.values[name] == nil {
		n.names = append(n.names, name)
	}
	n.values[name] = append(n.values[name], v)
}

func (d *document) whole(t xml.StartElement, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errors.New("elements are nested too deep")
	}
	n := &node{}
	for _, a := range t.Attr {
		if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
			v := &node{}
			v.text.WriteString(a.Value)
			n.add("@"+a.Name.Local, v)
		}
	}
	for {
		token, err := d.dec.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			child, err := d.whole(t, depth+1)
			if err != nil {
				return nil, err
			}
			n.children = true
			n.add(t.Name.Local, child)
		case xml.CharData:
			n.text.Write(t)
		case xml.EndElement:
			return n, nil
		}
	}
}

// append writes a node. Blanks between children are no text.
func (n *node) append(b []byte) []byte {
	text := n.text.String()
	if n.names == nil {
		return appendText(b, text)
	}
	b = append(b, '{')
	for i, name := range n.names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		values := n.values[name]
		if len(values) == 1 {
			b = values[0].append(b)
			continue
		}
		b = append(b, '[')
		for j, v := range values {
			if j > 0 {
				b = append(b, ',')
			}
			b = v.append(b)
		}
		b = append(b, ']')
	}
	if n.children {
		text = strings.TrimSpace(text)
	}
	if text != "" {
		b = appendText(append(b, ','), "#text")
		b = appendText(append(b, ':'), text)
	}
	return append(b, '}')
}

func appendText(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // what is not UTF-8 is replaced
	return b
}
