package auth_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/ingest/fetch/auth"
	"github.com/millrace-io/millrace/pipeline"
)

// TestKinds: each kind sends its secret home, takes it off what goes elsewhere or is kept, and names it.
func TestKinds(t *testing.T) {
	const secret = "s3cret/+&="
	key := func(k pipeline.APIKey) pipeline.HTTP { return pipeline.HTTP{Auth: pipeline.Auth{APIKey: &k}} }
	for name, c := range map[string]struct {
		h    pipeline.HTTP
		want string // in the request's URL or headers
	}{
		"headers": {pipeline.HTTP{Headers: map[string]pipeline.Secret{"X-Extra": secret}}, "X-Extra:[" + secret},
		"bearer":  {pipeline.HTTP{Auth: pipeline.Auth{Bearer: secret}}, "Authorization:[Bearer " + secret},
		"basic": {
			pipeline.HTTP{Auth: pipeline.Auth{Basic: &pipeline.Basic{Username: "user", Password: secret}}},
			"Authorization:[Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+secret)),
		},
		"key in header": {key(pipeline.APIKey{Header: "X-Key", Value: secret}), "X-Key:[" + secret},
		"key in query":  {key(pipeline.APIKey{Param: "code", Value: secret}), "?a=1&code=" + url.QueryEscape(secret)},
		"user info":     {pipeline.HTTP{BaseURL: "https://user:" + url.PathEscape(secret) + "@api.test/"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			all := auth.For(c.h)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.test/?a=1", nil)
			if err != nil {
				t.Fatal(err)
			}
			all.Apply(req)
			if sent := req.URL.String() + fmt.Sprint(req.Header); !strings.Contains(sent, c.want) {
				t.Errorf("sent %s, want %s in it", sent, c.want)
			}
			kept := all.StripURL(req.URL).String()
			all.Strip(req.Header)
			if left := kept + fmt.Sprint(req.Header); strings.Contains(left, "s3cret") || kept != "https://api.test/?a=1" {
				t.Errorf("left %s", left)
			}
			if all.Secrets()[0] != secret {
				t.Errorf("%d secrets, want the one", len(all.Secrets()))
			}
		})
	}
	if all := auth.For(pipeline.HTTP{BaseURL: "https://api.test/"}); len(all) != 0 {
		t.Errorf("%d kinds without credentials", len(all))
	}
}
