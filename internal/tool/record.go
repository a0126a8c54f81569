package tool

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millrace-io/millrace/ingest"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/fetch/auth"
	"github.com/millrace-io/millrace/internal/casebook"
	"github.com/millrace-io/millrace/internal/cassette"
	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/redact"
	"github.com/millrace-io/millrace/pipeline"
)

// recordFlags are those of `millrace record`.
type recordFlags struct {
	out    string
	slice  string
	pages  int
	passes int
	mask   []string
}

// newRecordCommand is `millrace record`.
func newRecordCommand() *cobra.Command {
	f := &recordFlags{}
	cmd := &cobra.Command{
		Use:   "record FILE [STREAM]",
		Short: "Keep an API's real answers in a folder of readable files, for millrace test",
		Long: `Keep an API's real answers in a folder of readable files, for millrace test. Secrets of the pipeline file are replaced, and so
are cookies; --mask replaces the values of fields, each by one of the same kind, and the same value by the same.

The files may be changed by hand: one exchange each, a request line, the status and headers, the body. Where FILE has no tests yet,
one on them is written beside it, shop.test.yaml for shop.yaml.`,
		Example: `  millrace record shop.yaml orders -o testdata/orders --pages 2 --mask email,name
  millrace test shop.yaml --update`,
		Args:              cli.Args(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: cli.CompleteStream,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, s, err := fileAndStream(args)
			if err != nil {
				return err
			}
			return f.record(cmd, p, s, args[0])
		},
	}
	f.flags(cmd.Flags())
	return cmd
}

func (f *recordFlags) flags(flags *pflag.FlagSet) {
	flags.StringVarP(&f.out, "output", "o", "", "`folder` to write (default testdata/STREAM beside FILE)")
	flags.StringVar(&f.slice, "slice", "", "`name` of the slice to fetch (default the first; with for_each, those of the first three records of the parent)")
	flags.IntVar(&f.pages, "pages", 0, "fetch this `number` of pages of each pass at most (default all)")
	flags.IntVar(&f.passes, "passes", 1, "fetch this `number` of passes: the second asks for what has changed")
	flags.StringSliceVar(&f.mask, "mask", nil, "replace the values of these `fields`, by name, wherever they stand")
}

func (f *recordFlags) record(cmd *cobra.Command, p *pipeline.Pipeline, s *pipeline.Stream, name string) error {
	dir := f.out
	if dir == "" {
		dir = filepath.Join(filepath.Dir(name), "testdata", s.Name)
	}
	tape := newTape(p, s, f.mask)
	impatient(p, s)
	records := 0
	walk := ingest.Walk{
		Stream: s.Name, Slice: f.slice, Pages: f.pages, Passes: f.passes,
		Transport: func(base http.RoundTripper) http.RoundTripper {
			return &cassette.Recorder{Base: base, Each: tape.keep, Bodies: 64 << 20}
		},
	}
	err := walk.Run(cmd.Context(), p, func(page *ingest.WalkedPage) error {
		records += len(page.Records)
		return nil
	}, nil)
	if err != nil {
		return errors.New(tape.hide.Text(err.Error()))
	}
	if err := cassette.Write(dir, tape.all); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s with %s\n", dir, count(len(tape.all), "answer"), count(records, "record")); err != nil {
		return err
	}
	return f.begin(cmd, s, dir, name)
}

// tape keeps exchanges without what is secret in them.
type tape struct {
	all  []*cassette.Exchange
	http *pipeline.HTTP
	hide *redact.Secrets // texts
	urls *fetch.Redactor
	mask []string // names of fields
}

func newTape(p *pipeline.Pipeline, s *pipeline.Stream, mask []string) *tape {
	texts := make([]string, len(p.Secrets))
	for i, r := range p.Secrets {
		texts[i] = r.Value.Reveal()
	}
	h := &s.Ingest.HTTP
	return &tape{http: h, hide: redact.New(texts...), urls: fetch.NewRedactor(*h, auth.For(*h)), mask: mask}
}

// keep keeps an exchange that had an answer.
func (t *tape) keep(x cassette.Exchange) {
	if x.Err != nil {
		return
	}
	if req, err := http.NewRequest(x.Method, x.URL, nil); err == nil { //nolint:noctx // it is not sent
		x.URL = t.urls.URL(req.URL)
	}
	mask := slices.Concat(t.mask, tokenFields(t.http, x.URL))
	x.Header = cassette.Plain(x.Header)
	if l := t.http.Auth.Login; l != nil && l.AnswerHeader != "" && x.Header.Get(l.AnswerHeader) != "" {
		x.Header.Set(l.AnswerHeader, redact.Hidden)
	}
	for header, values := range x.Header {
		for i := range values {
			x.Header[header][i] = t.hide.Text(values[i])
		}
	}
	x.Sent = []byte(t.hide.Text(string(x.Sent)))
	x.Body = cassette.Mask([]byte(t.hide.Text(string(x.Body))), mask)
	t.all = append(t.all, &x)
}

// tokenFields are the fields of an answer of the endpoint that gives tokens which hold them; nil for other answers.
func tokenFields(h *pipeline.HTTP, address string) []string {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	var endpoints []string
	fields := []string{"access_token", "refresh_token", "id_token", "token"}
	if l := h.Auth.Login; l != nil {
		endpoints = append(endpoints, strings.TrimRight(h.BaseURL, "/")+l.Path)
		if n := len(l.Field); n > 0 {
			fields = append(fields, l.Field[n-1])
		}
	}
	if o := h.Auth.OAuth2; o != nil {
		endpoints = append(endpoints, o.TokenURL)
	}
	if j := h.Auth.JWT; j != nil {
		endpoints = append(endpoints, j.TokenURL)
	}
	for _, e := range endpoints {
		if at, err := url.Parse(e); err == nil && at.Path == u.Path && at.Host == u.Host {
			return fields
		}
	}
	return nil
}

// begin writes a file of tests, with one on what was recorded, if the pipeline file has none.
func (f *recordFlags) begin(cmd *cobra.Command, s *pipeline.Stream, dir, name string) error {
	path := casebook.Default(name)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	from, err := filepath.Rel(filepath.Dir(name), dir)
	if err != nil {
		from = dir
	}
	text := "tests:\n  - name: as recorded\n    stream: " + s.Name + "\n    cassette: " + strconv.Quote(filepath.ToSlash(from)) + "\n"
	if f.slice != "" {
		text += "    slice: " + strconv.Quote(f.slice) + "\n"
	}
	if f.pages > 0 {
		text += "    pages: " + strconv.Itoa(f.pages) + "\n"
	}
	if f.passes > 1 {
		text += "    passes: " + strconv.Itoa(f.passes) + "\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: a test of them\nnext: millrace test %s --update writes down what comes out; look at it\n", path, name)
	return err
}
