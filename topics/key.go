package topics

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/canonical"
)

// AppendKey appends the raw key made of the key fields' JSON values: the text of one field, without quotes if it is a
// string; a compact JSON array of several. Numbers are written by their value, see [canonical.AppendNumber], and texts
// as they are, however they were escaped. A text that is the spelling of a number makes the same key as that number, in
// an array too: a column has one value for both.
func AppendKey(dst []byte, values ...jsontext.Value) ([]byte, error) {
	if len(values) == 1 {
		if values[0].Kind() == '"' {
			return jsontext.AppendUnquote(dst, values[0])
		}
		return appendPlain(dst, values[0]), nil
	}
	dst = append(dst, '[')
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		if v.Kind() != '"' {
			dst = appendPlain(dst, v)
			continue
		}
		var err error
		if dst, err = appendText(dst, v); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

// appendText appends a text of an array, in the one spelling of it: the same text may be escaped in several ways.
func appendText(dst []byte, quoted jsontext.Value) ([]byte, error) {
	text, same := []byte(quoted), plain(quoted)
	if same {
		text = text[1 : len(text)-1]
	} else {
		var err error
		if text, err = jsontext.AppendUnquote(nil, quoted); err != nil {
			return nil, err
		}
	}
	if n, ok := canonical.NumberOf(text); ok && bytes.Equal(n, text) {
		return append(dst, text...), nil
	}
	if same {
		return append(dst, quoted...), nil
	}
	return jsontext.AppendQuote(dst, text)
}

// plain reports whether a quoted text says what stands between its quotes, and is spelled so: it is of the ASCII
// characters that are never escaped.
func plain(quoted jsontext.Value) bool {
	if len(quoted) < 2 || quoted[len(quoted)-1] != '"' {
		return false
	}
	for _, c := range quoted[1 : len(quoted)-1] {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// appendPlain appends what is not a text.
func appendPlain(dst []byte, v jsontext.Value) []byte {
	if v.Kind() == '0' {
		return canonical.AppendNumber(dst, v)
	}
	return append(dst, v...)
}

var partitioner = kgo.StickyKeyPartitioner(nil).ForTopic("")

// Partition is the partition, of n, of a key that is not nil: that of Java's default partitioner, murmur2. A kgo client
// without RecordPartitioner chooses the same one.
func Partition(key []byte, n int32) int32 {
	return int32(partitioner.Partition(&kgo.Record{Key: key}, int(n)))
}
