package casebook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// Book is a file of tests.
type Book struct {
	Path  string
	Cases []*Case

	doc yaml.Node
}

// Case is one test.
type Case struct {
	Name     string   `yaml:"name"`
	Stream   string   `yaml:"stream"`   // may be left out where the pipeline has one
	Slice    string   `yaml:"slice"`    // of a cassette: which one; of records: where they come from
	Cassette string   `yaml:"cassette"` // a folder, relative to the file
	Passes   int      `yaml:"passes"`   // of a cassette; 0: one
	Pages    int      `yaml:"pages"`    // of a cassette: of each pass at most, as it was recorded; 0: all
	Records  []record `yaml:"records"`
	// What is expected. What is left out is not compared, but for letters: none are expected then.
	Requests []string `yaml:"requests"`
	Rows     []row    `yaml:"rows"`
	Letters  []Letter `yaml:"letters"`

	Line int `yaml:"-"`

	node *yaml.Node
}

// Letter is an expected dead letter.
type Letter struct {
	Key    string `yaml:"key"`
	Step   string `yaml:"step"`
	Reason string `yaml:"reason"` // empty: any
}

// record is a record as JSON. In the file it is a mapping, or a text of JSON.
type record struct{ value jsontext.Value }

// UnmarshalYAML is that of [yaml.Unmarshaler].
func (r *record) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		if r.value = jsontext.Value(n.Value); !r.value.IsValid() {
			return fmt.Errorf("line %d: a record that is a text must be JSON", n.Line)
		}
		return nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return err
	}
	out, err := json.Marshal(v)
	r.value = out
	return err
}

// row is an expected row: values by column, in the order of the file.
type row struct {
	columns []string
	values  map[string]*string // nil: null
}

// UnmarshalYAML is that of [yaml.Unmarshaler].
func (r *row) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a row is a mapping of columns to values", n.Line)
	}
	r.values = map[string]*string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, v := n.Content[i].Value, n.Content[i+1]
		r.columns = append(r.columns, name)
		if v.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: the value of %s must be single: JSON is written as a text", v.Line, name)
		}
		if r.values[name] = &v.Value; v.Tag == "!!null" {
			r.values[name] = nil
		}
	}
	return nil
}

// Default is the file of tests beside a pipeline file: shop.yaml has shop.test.yaml.
func Default(pipelineFile string) string {
	ext := filepath.Ext(pipelineFile)
	return strings.TrimSuffix(pipelineFile, ext) + ".test" + ext
}

// Read reads a file of tests. Unknown keys are errors.
func Read(path string) (*Book, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b := &Book{Path: path}
	if err := yaml.Unmarshal(data, &b.doc); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var file struct {
		Tests []*Case `yaml:"tests"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(file.Tests) == 0 {
		return nil, fmt.Errorf("%s: it has no tests; want tests: [{name: …, cassette: …}]", path)
	}
	list := member(b.doc.Content[0], "tests")
	for i, c := range file.Tests {
		c.node, c.Line = list.Content[i], list.Content[i].Line
		switch {
		case c.Name == "":
			return nil, fmt.Errorf("%s:%d: a test needs a name", path, c.Line)
		case (c.Cassette == "") == (c.Records == nil):
			return nil, fmt.Errorf("%s:%d: %s: a test has a cassette, or records", path, c.Line, c.Name)
		}
	}
	b.Cases = file.Tests
	return b, nil
}

func member(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}
