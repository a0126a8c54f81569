package file

import (
	"reflect"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/invopop/jsonschema"
	"go.yaml.in/yaml/v3"
)

// jsonValue is any value, which is sent as JSON. References are resolved in its texts.
type jsonValue struct {
	leaf
	json  []byte
	texts []text // that stand in it
}

func (v *jsonValue) decode(d *decoder, p place) {
	v.begin(p)
	problems := len(d.problems)
	v.json = v.append(d, p, nil, 0)
	v.ok = len(d.problems) == problems
}

func (v *jsonValue) schema(reflect.StructTag) *jsonschema.Schema { return &jsonschema.Schema{} }

// maxJSONDepth bounds what a mapping that merges itself could do.
const maxJSONDepth = 100

func (v *jsonValue) append(d *decoder, p place, b []byte, depth int) []byte {
	switch {
	case depth > maxJSONDepth:
		d.reportf(p, "", "this is nested too deep")
		return b
	case p.node.Kind == yaml.MappingNode:
		return v.object(d, p, b, depth)
	case p.node.Kind == yaml.SequenceNode:
		b = append(b, '[')
		for i, n := range p.node.Content {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.append(d, p.item(i, n), b, depth+1)
		}
		return append(b, ']')
	case p.node.Tag == "!!null":
		return append(b, "null"...)
	case p.node.Tag == "!!int" || p.node.Tag == "!!float":
		return appendNumber(d, p, b)
	case p.node.Tag == "!!bool":
		var on bool
		if err := p.node.Decode(&on); err != nil {
			d.reportf(p, "", "%s is neither true nor false", shown(p))
		}
		return strconv.AppendBool(b, on)
	}
	t := text{}
	p.tag = `empty:"ok"`
	t.decode(d, p)
	v.texts = append(v.texts, t)
	return appendText(d, p, b, t.s)
}

func (v *jsonValue) object(d *decoder, p place, b []byte, depth int) []byte {
	pairs, _ := d.pairs(p, "a mapping")
	b = append(b, '{')
	for i, e := range pairs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(d, p, b, e.key.Value), ':')
		b = v.append(d, p.child(e.key, e.value, p.tag), b, depth+1)
	}
	return append(b, '}')
}

func appendText(d *decoder, p place, b []byte, s string) []byte {
	out, err := jsontext.AppendQuote(b, s)
	if err != nil {
		d.reportf(p, "", "this is not valid text")
		return b
	}
	return out
}

// appendNumber writes a number as it is written in the file, if JSON has that form.
func appendNumber(d *decoder, p place, b []byte) []byte {
	if n := jsontext.Value(p.node.Value); n.IsValid() && n.Kind() == '0' {
		return append(b, n...)
	}
	var whole int64
	if p.node.Decode(&whole) == nil {
		return strconv.AppendInt(b, whole, 10)
	}
	d.reportf(p, "", "JSON has no number such as %s", shown(p))
	return b
}
