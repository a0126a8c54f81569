package steps

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/internal/expression"
)

// TestTextOf: a text is the same with and without the short way for texts that need no unquoting.
func TestTextOf(t *testing.T) {
	var scratch []byte
	for _, quoted := range []string{`""`, `"a"`, `"2013-01-01T05:00:00Z"`, `"a\"b"`, `"\u002B01:00"`, `"é"`, `"\ud83d\ude00"`, `"a\\"`} {
		want, err := jsontext.AppendUnquote(nil, quoted)
		if err != nil {
			t.Fatal(err)
		}
		if got := textOf(expression.JSON([]byte(quoted)), &scratch); string(got) != string(want) {
			t.Errorf("%s: %q, want %q", quoted, got, want)
		}
	}
	for _, value := range []string{"12.50", "true", "null"} {
		if got := textOf(expression.JSON([]byte(value)), &scratch); string(got) != value {
			t.Errorf("%s: %q", value, got)
		}
	}
}
