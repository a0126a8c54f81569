package cassette

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Archived is an exchange of an HTTP Archive, with the headers of its request.
type Archived struct {
	*Exchange

	Asked http.Header
}

// archive is what is of use in an HTTP Archive (HAR 1.2).
type archive struct {
	Log *struct {
		Entries []struct {
			Request struct {
				Method   string      `json:"method"`
				URL      string      `json:"url"`
				Headers  []harHeader `json:"headers"`
				PostData struct {
					Text string `json:"text"`
				} `json:"postData"`
			} `json:"request"`
			Response struct {
				Status  int         `json:"status"`
				Headers []harHeader `json:"headers"`
				Content struct {
					MimeType string `json:"mimeType"`
					Text     string `json:"text"`
					Encoding string `json:"encoding"`
				} `json:"content"`
			} `json:"response"`
		} `json:"entries"`
	} `json:"log"`
}

type harHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ErrNoHAR says that a file is none.
var ErrNoHAR = errors.New("not an HTTP Archive (HAR): it has no log.entries")

// ReadHAR reads an HTTP Archive, as a browser's network tab and proxies save it, in its order. It holds what was sent
// in clear text: cookies and tokens, too. Requests that were not answered are left out. The error is [ErrNoHAR] for
// other JSON, and of package encoding/json for what is none.
func ReadHAR(data []byte) ([]Archived, error) {
	var a archive
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, err
	}
	if a.Log == nil || a.Log.Entries == nil {
		return nil, ErrNoHAR
	}
	var out []Archived
	for i, e := range a.Log.Entries {
		if e.Response.Status < http.StatusOK {
			continue
		}
		body := []byte(e.Response.Content.Text)
		if e.Response.Content.Encoding == "base64" {
			var err error
			if body, err = base64.StdEncoding.DecodeString(e.Response.Content.Text); err != nil {
				return nil, fmt.Errorf("entry %d, %s: its content: %w", i, e.Request.URL, err)
			}
		}
		x := &Exchange{
			Method: e.Request.Method, URL: e.Request.URL, Sent: []byte(e.Request.PostData.Text),
			Status: e.Response.Status, Header: Plain(headersOf(e.Response.Headers)), Body: body,
		}
		if x.Header.Get("Content-Type") == "" && e.Response.Content.MimeType != "" {
			x.Header.Set("Content-Type", e.Response.Content.MimeType)
		}
		out = append(out, Archived{x, headersOf(e.Request.Headers)})
	}
	return out, nil
}

// headersOf leaves out those of HTTP/2 that are none, such as :path.
func headersOf(all []harHeader) http.Header {
	h := http.Header{}
	for _, x := range all {
		if x.Name != "" && !strings.HasPrefix(x.Name, ":") {
			h.Add(x.Name, x.Value)
		}
	}
	return h
}
