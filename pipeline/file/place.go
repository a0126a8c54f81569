package file

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Place says where in a pipeline file a value stands, by its path as messages have it:
// streams.orders.process[1].map.total. Of a path that leads further than the file, it is the last place that is there.
// Line and column count from 1; 0: unknown.
func Place(data []byte, path string) (line, column int) {
	var doc yaml.Node
	if yaml.Unmarshal(data, &doc) != nil || len(doc.Content) == 0 {
		return 0, 0
	}
	n := doc.Content[0]
	for _, name := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		key, value := descend(follow(n), name)
		if value == nil {
			break
		}
		line, column = value.Line, value.Column
		if key != nil && value.Kind != yaml.ScalarNode {
			line, column = key.Line, key.Column
		}
		n = value
	}
	return line, column
}

// descend finds what a name or an index leads to.
func descend(n *yaml.Node, name string) (key, value *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i < len(n.Content) {
			return nil, n.Content[i]
		}
	default:
	}
	return nil, nil
}
