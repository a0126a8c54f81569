package cassette

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Exchange is a request and its answer.
type Exchange struct {
	Method string
	URL    string // absolute
	Sent   []byte // body of the request; nil: none
	Status int
	Header http.Header
	Body   []byte
	Took   time.Duration // not kept
	Err    error         // why there was no answer; not kept
}

// bodyHeader says how a body is kept.
const bodyHeader = "Millrace-Body"

// Marshal is the file of an exchange.
func (x *Exchange) Marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s\n", x.Method, x.URL)
	if len(x.Sent) > 0 {
		fmt.Fprintf(&b, "\n%s\n", bytes.TrimRight(x.Sent, "\n"))
	}
	fmt.Fprintf(&b, "\nHTTP %d\n", x.Status)
	for _, name := range slices.Sorted(maps.Keys(x.Header)) {
		for _, value := range x.Header[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, strings.NewReplacer("\r", " ", "\n", " ").Replace(value))
		}
	}
	body := slices.Clone(x.Body)
	switch v := jsontext.Value(body); {
	case len(body) == 0:
	case !utf8.Valid(body):
		fmt.Fprintf(&b, "%s: base64\n", bodyHeader)
		body = []byte(base64.StdEncoding.EncodeToString(body) + "\n")
	case oneLine(body) && v.Indent(jsontext.WithIndent("  ")) == nil:
		fmt.Fprintf(&b, "%s: on one line\n", bodyHeader)
		body = slices.Concat(v, []byte("\n"))
	case body[len(body)-1] != '\n':
		fmt.Fprintf(&b, "%s: no line break at its end\n", bodyHeader)
		body = append(body, '\n')
	}
	if len(body) > 0 {
		fmt.Fprintf(&b, "\n%s", body)
	}
	return b.Bytes()
}

// oneLine reports whether a body is one JSON value without any blank: it is indented for people, and read back as it
// was.
func oneLine(body []byte) bool {
	v := jsontext.Value(slices.Clone(body))
	return v.Compact() == nil && bytes.Equal(v, body)
}

// Unmarshal reads a file.
func Unmarshal(data []byte) (*Exchange, error) {
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	asked, answer, ok := bytes.Cut(data, []byte("\n\nHTTP "))
	if !ok {
		return nil, errors.New("there is no line HTTP STATUS after a blank line")
	}
	x := &Exchange{Header: http.Header{}}
	line, sent, _ := bytes.Cut(asked, []byte("\n"))
	x.Method, x.URL, ok = strings.Cut(strings.TrimSpace(string(line)), " ")
	if !ok {
		return nil, fmt.Errorf("the first line is %q, want GET URL", line)
	}
	x.Sent = bytes.TrimSpace(sent)
	status, rest, _ := bytes.Cut(answer, []byte("\n"))
	n, err := strconv.Atoi(strings.TrimSpace(string(status)))
	if err != nil || n < 100 || n > 599 {
		return nil, fmt.Errorf("%q is no HTTP status", status)
	}
	x.Status = n
	head, body, _ := bytes.Cut(append([]byte("\n"), rest...), []byte("\n\n"))
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(bytes.TrimLeft(head, "\n"), "\n\n"...)))).ReadMIMEHeader()
	if err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	x.Header = http.Header(header)
	if x.Body, err = bodyOf(body, x.Header.Get(bodyHeader)); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	x.Header.Del(bodyHeader)
	return x, nil
}

// bodyOf is a body as it came, of one that was kept in that way.
func bodyOf(body []byte, kept string) ([]byte, error) {
	switch {
	case kept == "base64":
		return base64.StdEncoding.DecodeString(strings.TrimSpace(string(body)))
	case kept == "on one line":
		v := jsontext.Value(bytes.Clone(bytes.TrimSpace(body)))
		return v, v.Compact()
	case kept != "":
		return bytes.TrimSuffix(body, []byte("\n")), nil
	}
	return body, nil
}
