package cassette

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/zeebo/xxh3"
)

// Mask replaces the texts and numbers of fields of these names, wherever they stand in a JSON body, by others that
// depend on the value alone: an address of a mail by one of example.com, a number by one of as many digits. A body that
// is no JSON stays as it is.
func Mask(body []byte, names []string) []byte {
	if len(names) == 0 || len(body) == 0 {
		return body
	}
	var out bytes.Buffer
	dec := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true))
	enc := jsontext.NewEncoder(&out, jsontext.AllowDuplicateNames(true))
	for {
		token, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return body
		}
		kind, n := dec.StackIndex(dec.StackDepth())
		name := kind == '{' && n%2 == 1 && token.Kind() == '"' // the name of a member
		text := token.String()
		if err := enc.WriteToken(token); err != nil {
			return body
		}
		if !name || !slices.Contains(names, text) {
			continue
		}
		if k := dec.PeekKind(); k != '"' && k != '0' {
			continue
		}
		v, err := dec.ReadValue()
		if err != nil || enc.WriteValue(masked(v)) != nil {
			return body
		}
	}
	if !oneLine(body) && jsontext.Value(out.Bytes()).IsValid() {
		v := jsontext.Value(slices.Clone(out.Bytes()))
		if v.Indent(jsontext.WithIndent("  ")) == nil {
			return v
		}
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// masked is another value of the same kind.
func masked(v jsontext.Value) jsontext.Value {
	hash := fmt.Sprintf("%016x", xxh3.Hash(v))
	if v.Kind() == '0' {
		digits := strings.Map(func(r rune) rune { return '0' + (r % 10) }, hash)
		return jsontext.Value("1" + digits[:max(min(len(v)-1, 15), 0)])
	}
	text := "masked-" + hash[:8]
	if bytes.ContainsRune(v, '@') {
		text += "@example.com"
	}
	quoted, _ := jsontext.AppendQuote(nil, text)
	return quoted
}
