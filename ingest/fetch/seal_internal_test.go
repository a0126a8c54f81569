package fetch

import (
	"net/url"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipeline"
)

// TestSealsAreOpenedHoweverTheyAreSpelled: an API may give the URL of the next page back with other escapes than it was
// asked with.
func TestSealsAreOpenedHoweverTheyAreSpelled(t *testing.T) {
	t.Parallel()
	s := newSealer([]pipeline.Reference{{Name: "TOKEN", Value: "s3cret+token"}, {Name: "PLACE", Value: "inner/place"}})
	parse := func(text string) *url.URL {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	asked := parse("https://api.test/v1/inner/place/items?token=s3cret%2Btoken&page=2")
	kept := s.seal(asked)
	if text := kept.String(); strings.Contains(text, "s3cret") || strings.Contains(text, "inner") || !strings.Contains(text, sealBegins) {
		t.Fatalf("kept as %s", text)
	}
	for _, spelled := range []string{
		kept.String(),
		strings.Replace(kept.String(), "token="+sealBegins, "token=mr%2Dsecret%2d", 1),
		strings.Replace(kept.String(), "token="+sealBegins, "token=%6Dr-secret-", 1),
	} {
		opened, err := s.open(parse(spelled))
		if err != nil || opened.Query().Get("token") != "s3cret+token" || opened.Query().Get("page") != "2" || opened.Path != "/v1/inner/place/items" {
			t.Errorf("%s is opened as %v, %v", spelled, opened, err)
		}
	}
	for _, none := range []string{"https://api.test/v1/items?page=2", "https://api.test/v1/a%20b?q=%C3%A9&x=a+b"} {
		if u := parse(none); s.seal(u) != u {
			t.Errorf("%s has no secret, and is sealed", none)
		} else if opened, err := s.open(u); opened != u || err != nil {
			t.Errorf("%s has no seal, and is opened as %v, %v", none, opened, err)
		}
	}
	if _, err := (sealer{}).open(kept); err == nil {
		t.Error("a URL with a seal of a reference that is gone is asked for")
	}
}
