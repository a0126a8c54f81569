package tool

import (
	"strings"
	"testing"
)

func TestFromCurl(t *testing.T) {
	for text, want := range map[string]string{
		"https://a.test/b": "https://a.test/b",
		`curl 'https://a.test/b?c=1&d=2' -H 'X-Key: ${KEY}' --compressed`:         "https://a.test/b?c=1&d=2 | X-Key: ${KEY}",
		"curl -s -L \\\n  -H \"Accept: application/json\" \\\n  https://a.test/b": "https://a.test/b | Accept: application/json",
		`curl --url=https://a.test/b -HX-Key:1 -A me -X GET -o out.json`:          "https://a.test/b | X-Key:1 | User-Agent: me",
		`curl -X POST https://a.test`:                                             "error: POST",
		`curl https://a.test -d '{}'`:                                             "error: sends a body (-d)",
		`curl -u me:pw https://a.test`:                                            "error: auth: {basic",
		`curl 'https://a.test`:                                                    "error: a quote (') that does not end",
		`curl -s`:                                                                 "error: no URL",
	} {
		url, headers, err := fromCurl(text)
		got := strings.Join(append([]string{url}, headers...), " | ")
		if wrong, is := strings.CutPrefix(want, "error: "); is {
			if err == nil || !strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), "pw") {
				t.Errorf("%s: %v, want %s", text, err, wrong)
			}
		} else if err != nil || got != want {
			t.Errorf("%s: %s (%v), want %s", text, got, err, want)
		}
	}
}
