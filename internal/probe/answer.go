package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/convert"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/fetch/auth"
	"github.com/millrace-io/millrace/pipeline"
)

// answer is what an API answered.
type answer struct {
	asked  *url.URL
	header http.Header
	body   jsontext.Value // one JSON value; nil: lines
	lines  []jsontext.Value
	csv    bool // the lines are rows of CSV
	empty  bool // there is no body
}

// asker asks an API, a bounded number of times.
type asker struct {
	client *fetch.Client
	memory *fetch.Memory
	left   int         // requests that may still be made
	tell   func(Asked) //
}

// Asked is a request that was made.
type Asked struct {
	URL    string // without secrets
	Status int    // 0: there was no answer
	Why    string // what the answer was to show
}

const (
	mostBytes   = 32 << 20
	mostAsked   = 24
	attemptsFor = 3
)

func newAsker(h pipeline.HTTP, transport http.RoundTripper, tell func(Asked)) (*asker, error) {
	memory := fetch.NewMemory(2*mostBytes, mostBytes, "")
	budgets := fetch.Budgets{InFlight: 4, Ahead: 4}
	client := fetch.NewClient(h, transport, budgets.For(h), memory)
	var err error
	if client.Session, err = (&auth.Sessions{}).For(h, transport); err != nil {
		memory.Close()
		return nil, err
	}
	return &asker{client: client, memory: memory, left: mostAsked, tell: tell}, nil
}

func (a *asker) close() { a.memory.Close() }

// errSpent says that the API was asked often enough.
var errSpent = errors.New("the API was asked often enough")

// get asks for u. why says what for.
func (a *asker) get(ctx context.Context, u *url.URL, why string) (*answer, error) {
	if a.left <= 0 {
		return nil, errSpent
	}
	a.left--
	out := &answer{asked: u}
	got, err := a.client.Get(ctx, u, out.read)
	asked := Asked{URL: a.client.Redactor().URL(u), Status: http.StatusOK, Why: why}
	if err != nil {
		asked.Status = 0
		if e, ok := errors.AsType[*fetch.Error](err); ok {
			asked.Status = e.Status
			if e.Status == http.StatusTooManyRequests {
				a.left = 0
			}
		}
		a.tell(asked)
		return nil, err
	}
	got.Body.Close()
	a.tell(asked)
	if out.header.Get("X-Ratelimit-Remaining") == "0" {
		a.left = 0
	}
	return out, nil
}

// status is that of a refused request; 0: it was not refused.
func status(err error) int {
	if e, ok := errors.AsType[*fetch.Error](err); ok {
		return e.Status
	}
	return 0
}

// NotJSONError says that an answer is of a kind that init does not read.
type NotJSONError struct{ Type, Begins string }

func (e *NotJSONError) Error() string {
	return fmt.Sprintf("the answer is %s; it begins %q: init reads JSON, NDJSON and text/csv; of what else the pipeline file can take, see `millrace explain ingest.format`", e.Type, e.Begins)
}

// read takes the body of an answer.
func (o *answer) read(a *fetch.Answer) error {
	o.header = a.Header
	if a.Nothing != 0 {
		o.empty = true
		return nil
	}
	body := a.Body.Bytes()
	if body == nil {
		return fmt.Errorf("%w: the answer has %d bytes: ask for fewer records, with a parameter such as limit", fetch.ErrFinal, a.Body.Size())
	}
	if kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type")); kind == "text/csv" {
		converted, err := io.ReadAll(convert.CSV{}.Reader(bytes.NewReader(body)))
		if err != nil {
			return fmt.Errorf("%w: csv: %w", fetch.ErrFinal, err)
		}
		body, o.csv = converted, true
	}
	value := jsontext.Value(append([]byte(nil), body...))
	if isJSON(value) && !o.csv {
		o.body = value
		return nil
	}
	if v := fromYAML(body); v != nil && !o.csv {
		o.body = v
		return nil
	}
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if v := jsontext.Value(line); isJSON(v) {
			o.lines = append(o.lines, v)
			continue
		}
		kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
		if kind == "" {
			kind = "without Content-Type"
		}
		return fmt.Errorf("%w: %w", fetch.ErrFinal, &NotJSONError{kind, shortened(string(body), 60)})
	}
	return nil
}

func isJSON(v jsontext.Value) bool {
	return v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func shortened(text string, n int) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > n {
		text = strings.ToValidUTF8(text[:n], "") + "…"
	}
	return text
}
