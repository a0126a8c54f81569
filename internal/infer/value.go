package infer

import "github.com/go-json-experiment/json/jsontext"

// Value is what stands at a path of object keys; nil: nothing. The names count as they are.
func Value(v jsontext.Value, path []string) jsontext.Value {
	for _, name := range path {
		var found jsontext.Value
		if v.Kind() != '{' {
			return nil
		}
		members(v, func(n string, value jsontext.Value) {
			if n == name && found == nil {
				found = value.Clone()
			}
		})
		if v = found; v == nil {
			return nil
		}
	}
	return v
}

// Text is the text of a string, or another value as it is written.
func Text(v jsontext.Value) string {
	if v.Kind() != '"' {
		return string(v)
	}
	text, _ := jsontext.AppendUnquote(nil, v)
	return string(text)
}
