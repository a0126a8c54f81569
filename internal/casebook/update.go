package casebook

import (
	"bytes"
	"os"

	"go.yaml.in/yaml/v3"
)

// Update makes what came the expectation of a test. Write saves it.
func (r *Result) Update() error {
	var texts []string
	for _, row := range r.rows {
		texts = append(texts, rowText(row, nil, r.decimals))
	}
	if err := set(r.Case.node, "rows", texts); err != nil {
		return err
	}
	texts = nil
	for _, l := range r.letters {
		texts = append(texts, l.text())
	}
	if len(texts) > 0 || member(r.Case.node, "letters") != nil {
		if err := set(r.Case.node, "letters", texts); err != nil {
			return err
		}
	}
	if r.Case.Cassette == "" {
		return nil
	}
	texts = nil
	for _, request := range r.requests {
		texts = append(texts, scalar(request))
	}
	return set(r.Case.node, "requests", texts)
}

// set gives a mapping a member that is a list of these, each YAML on one line.
func set(n *yaml.Node, name string, texts []string) error {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	if len(texts) == 0 {
		list.Style = yaml.FlowStyle
	}
	for _, text := range texts {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			return err
		}
		list.Content = append(list.Content, doc.Content[0])
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content[i+1] = list
			return nil
		}
	}
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, list)
	return nil
}

// Write saves the file, with its comments.
func (b *Book) Write() error {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&b.doc); err != nil {
		return err
	}
	return os.WriteFile(b.Path, out.Bytes(), 0o600)
}
