package topics_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/topics"
)

// escaped spells a text as JSON with an escape for each character.
func escaped(text string) jsontext.Value {
	var b strings.Builder
	b.WriteByte('"')
	for _, unit := range utf16.Encode([]rune(text)) {
		fmt.Fprintf(&b, `\u%04x`, unit)
	}
	b.WriteByte('"')
	return jsontext.Value(b.String())
}

// FuzzKeyOfText: a text makes one key, however it is escaped, and that is JSON.
func FuzzKeyOfText(f *testing.F) {
	for _, text := range []string{"", "x", "2013-01-01T05:00:00Z", "2013-01-01", "12", "12 ", "1e3", "1.5", "-7", "+7", "é", "a\"b\\c", "\x7f", "\n", "</script>", "\u2028"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		quoted, err := jsontext.AppendQuote(nil, text)
		if err != nil {
			t.Fatal(err)
		}
		one, err1 := topics.AppendKey(nil, quoted, jsontext.Value("1"))
		other, err2 := topics.AppendKey(nil, escaped(text), jsontext.Value("1"))
		if err1 != nil || err2 != nil || string(one) != string(other) {
			t.Errorf("%q makes %s, %v and %s, %v", text, one, err1, other, err2)
		}
		plain := fmt.Sprintf("[%s,1]", quoted)
		if number := fmt.Sprintf("[%s,1]", text); !jsontext.Value(one).IsValid() || string(one) != plain && string(one) != number {
			t.Errorf("%q makes %s", text, one)
		}
	})
}
