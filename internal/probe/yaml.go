package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// describes matches the beginning of a line that says that a YAML document describes an API.
var describes = regexp.MustCompile(`(?m)^["']?(openapi|swagger)["']?\s*:`)

// fromYAML is the description of an API as JSON; nil: it is none, or no YAML.
func fromYAML(body []byte) jsontext.Value {
	if !describes.Match(body) {
		return nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(body, &doc); err != nil || len(doc.Content) != 1 {
		return nil
	}
	w := &yamlWriter{left: mostNodes}
	if err := w.node(doc.Content[0]); err != nil {
		return nil
	}
	return w.out.Bytes()
}

// mostNodes bounds what aliases of a document may grow to.
const mostNodes = 1_000_000

var errGrows = errors.New("its aliases make it too large")

// yamlWriter writes YAML as JSON, in its order.
type yamlWriter struct {
	out  bytes.Buffer
	left int // nodes that may still be written
}

func (w *yamlWriter) node(n *yaml.Node) error {
	if w.left--; w.left < 0 {
		return errGrows
	}
	switch n.Kind {
	case yaml.AliasNode:
		return w.node(n.Alias)
	case yaml.MappingNode:
		return w.mapping(n)
	case yaml.SequenceNode:
		return w.sequence(n)
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return w.value(nil)
		}
		return w.value(n.Value) // texts are all that is read of it
	case yaml.DocumentNode:
	}
	return fmt.Errorf("line %d: unknown YAML", n.Line)
}

func (w *yamlWriter) mapping(n *yaml.Node) error {
	w.out.WriteByte('{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		if i > 0 {
			w.out.WriteByte(',')
		}
		if err := w.value(n.Content[i].Value); err != nil {
			return err
		}
		w.out.WriteByte(':')
		if err := w.node(n.Content[i+1]); err != nil {
			return err
		}
	}
	w.out.WriteByte('}')
	return nil
}

func (w *yamlWriter) sequence(n *yaml.Node) error {
	w.out.WriteByte('[')
	for i, x := range n.Content {
		if i > 0 {
			w.out.WriteByte(',')
		}
		if err := w.node(x); err != nil {
			return err
		}
	}
	w.out.WriteByte(']')
	return nil
}

func (w *yamlWriter) value(v any) error {
	text, err := json.Marshal(v)
	w.out.Write(text)
	return err
}
