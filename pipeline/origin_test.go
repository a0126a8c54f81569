package pipeline_test

import (
	"net/url"
	"testing"

	"github.com/millrace-io/millrace/pipeline"
)

func TestOrigins(t *testing.T) {
	of := func(text string) pipeline.Origin {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return pipeline.OriginOf(u)
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"https://localhost/x", "https://LocalHost:443/y?z", true},
		{"http://api.test", "HTTP://API.test.:80/", true},
		{"https://[::1]:443", "https://[::1]/", true},
		{"https://api.test", "http://api.test", false},
		{"https://api.test:443", "http://api.test:443", false},
		{"https://api.test", "https://api.test:8443", false},
		{"https://api.test", "https://api.test.evil", false},
		{"https://api.test@evil.test/", "https://api.test", false},
	} {
		if a, b := of(c.a), of(c.b); (a == b) != c.same {
			t.Errorf("%s is %s, %s is %s", c.a, a, c.b, b)
		}
	}
	if !of("https://a").LeavesTLS(of("http://a")) || of("http://a").LeavesTLS(of("https://a")) || of("https://a").LeavesTLS(of("https://b")) {
		t.Error("only from https to http")
	}
	if got := of("https://[::1]:8443/x").String() + " " + of("HTTPS://A.test:443").String(); got != "https://[::1]:8443 https://a.test" {
		t.Error(got)
	}
}
