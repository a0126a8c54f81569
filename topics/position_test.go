package topics_test

import (
	"testing"

	"github.com/millrace-io/millrace/topics"
)

// TestPosition comes back from an offset's metadata; what other programs write there is not taken for one.
func TestPosition(t *testing.T) {
	p := topics.Position{RawTopicID: "00112233445566778899aabbccddeeff", Run: 3, Generation: 7, Epoch: 2}
	if got, ok := topics.ParsePosition(p.Metadata()); !ok || got != p {
		t.Errorf("%q became %+v, %t", p.Metadata(), got, ok)
	}
	for _, other := range []string{"", "p.processor.a.0-4f3c", "{}", `{"id":"x","run":1}`, "millrace1 ", "millrace1 {"} {
		if got, ok := topics.ParsePosition(other); ok {
			t.Errorf("%q was taken for %+v", other, got)
		}
	}
}
