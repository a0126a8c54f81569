package cassette_test

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/cassette"
)

func TestMask(t *testing.T) {
	const body = `{"data":[{"id":1,"email":"ada@example.org","phone":5550100,"tags":["email"]},{"id":2,"email":"ada@example.org","nested":{"email":null}}]}`
	got := string(cassette.Mask([]byte(body), []string{"email", "phone"}))
	if strings.Contains(got, "ada") || strings.Contains(got, "5550100") || strings.Count(got, "@example.com") != 2 || !strings.Contains(got, `"tags":["email"]`) || !strings.Contains(got, `"email":null`) {
		t.Errorf("%s", got)
	}
	first := strings.Index(got, "masked-")
	if mail := got[first : first+20]; strings.Count(got, mail) != 2 {
		t.Errorf("equal values do not stay equal: %s", got)
	}
	if got := string(cassette.Mask([]byte("no json"), []string{"a"})); got != "no json" {
		t.Errorf("%s", got)
	}
}
