package preview

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/fetch/auth"
	"github.com/millrace-io/millrace/internal/cassette"
	"github.com/millrace-io/millrace/internal/dryrun"
	"github.com/millrace-io/millrace/internal/infer"
	"github.com/millrace-io/millrace/internal/redact"
	"github.com/millrace-io/millrace/pipeline"
)

// Options say what to look at.
type Options struct {
	Stream    string
	Slice     string            // empty: the first
	Pages     int               // at most
	Records   int               // that are shown step by step, at most
	Transport http.RoundTripper // in the place of connections to the API; nil: none
}

// Report is what was seen. Its texts hold no secret of the pipeline file.
type Report struct {
	Pipeline string    `json:"pipeline"`
	Stream   string    `json:"stream"`
	Slice    string    `json:"slice,omitempty"`
	Requests []Request `json:"requests"`
	Pages    []Page    `json:"pages"`
	Records  []Record  `json:"records"`
	Counts   Counts    `json:"counts"`
	Ended    string    `json:"ended"`           // why the walk ended
	Error    string    `json:"error,omitempty"` // what the stage would wait for
	Warnings []string  `json:"warnings"`
	Columns  []Column  `json:"columns,omitempty"` // that are proposed

	sample []jsontext.Value
}

// Request is a request that was made.
type Request struct {
	Method string            `json:"method"`
	URL    string            `json:"url"`
	Status int               `json:"status"` // 0: no answer
	Millis int64             `json:"ms"`
	Limits map[string]string `json:"limits,omitempty"` // headers about limits
	Error  string            `json:"error,omitempty"`
	Date   string            `json:"date,omitempty"` // the API's clock, as it wrote it
}

// Page is a page that was taken apart.
type Page struct {
	URL     string `json:"url"`
	Records int    `json:"records"`
	Bytes   int64  `json:"bytes"`
	Shape   string `json:"shape,omitempty"` // what the records were taken for, if it was not declared
	Rest    string `json:"rest,omitempty"`  // the answer without its records, shortened
	Since   string `json:"since,omitempty"`
	Next    string `json:"next,omitempty"`
	Ended   string `json:"ended,omitempty"`
}

// Record is a record and what becomes of it.
type Record struct {
	// where in the raw topic it is, as partition:offset; empty: it is not from there
	At      string          `json:"at,omitempty"`
	Key     string          `json:"key"`
	Version *int64          `json:"version,omitempty"`
	Value   json.RawMessage `json:"value"`
	Steps   []Step          `json:"steps"`
	Rows    [][]dryrun.Cell `json:"rows"`
	Letter  *dryrun.Letter  `json:"letter,omitempty"`
}

// Step is a record after a step.
type Step struct {
	Step  string          `json:"step"`
	Value json.RawMessage `json:"value"`
}

// Counts are over all records that were seen.
type Counts struct {
	Records  int `json:"records"`
	Rows     int `json:"rows"`
	Filtered int `json:"filtered"`
	Letters  int `json:"letters"`
	Keys     int `json:"keys"` // different ones
}

// Column is a column that is proposed.
type Column struct {
	Name  string `json:"name"`
	Expr  string `json:"expr"`
	Type  string `json:"type"`
	Guess string `json:"guess,omitempty"`
}

const (
	mostSample  = 2000
	mostWarning = 8 // records that are named in one
)

// Run looks at a stream. Its error says that this cannot be begun; what the API answers is in the report.
func Run(ctx context.Context, p *pipeline.Pipeline, o Options) (*Report, error) {
	s := p.Stream(o.Stream)
	if s == nil {
		_, err := p.Choose([]string{o.Stream})
		return nil, err
	}
	d, err := dryrun.New(s)
	if err != nil {
		return nil, err
	}
	l := &looker{
		report: &Report{Pipeline: p.Name, Stream: s.Name, Requests: []Request{}, Pages: []Page{}, Records: []Record{}, Warnings: []string{}},
		stream: s, dry: d, options: o, redact: fetch.NewRedactor(s.Ingest.HTTP, auth.For(s.Ingest.HTTP)), keys: map[string]int{}, hide: secrets(p),
		doubts: map[string]int{},
	}
	walk := ingest.Walk{
		Stream: s.Name, Slice: o.Slice, Pages: o.Pages, Recorded: o.Transport != nil,
		Transport: func(base http.RoundTripper) http.RoundTripper {
			return &cassette.Recorder{Base: cmp.Or(o.Transport, base), Each: l.asked}
		},
	}
	if err := walk.Run(ctx, p, l.page, l.note); err != nil {
		l.report.Error = l.hide.Text(err.Error())
	}
	l.finish()
	return l.report, ctx.Err()
}

func secrets(p *pipeline.Pipeline) *redact.Secrets {
	texts := make([]string, len(p.Secrets))
	for i, s := range p.Secrets {
		texts[i] = s.Value.Reveal()
	}
	return redact.New(texts...)
}

// looker collects a report.
type looker struct {
	report  *Report
	stream  *pipeline.Stream
	dry     *dryrun.Stream
	options Options
	redact  *fetch.Redactor
	hide    *redact.Secrets
	keys    map[string]int // by key: how often
	doubts  map[string]int // by column and text
	sorted  int            // -1: a record came before an earlier one; by the incremental field
	last    int64
	had     bool
}

// asked notes a request.
func (l *looker) asked(x cassette.Exchange) {
	r := Request{Method: x.Method, Status: x.Status, Millis: x.Took.Milliseconds(), URL: l.hide.Text(x.URL)}
	if req, err := http.NewRequest(x.Method, x.URL, nil); err == nil { //nolint:noctx // it is not sent
		r.URL = l.redact.URL(req.URL)
	}
	if x.Err != nil {
		r.Error = l.hide.Text(x.Err.Error())
	}
	r.Date = x.Header.Get("Date")
	for name, values := range x.Header {
		lower := strings.ToLower(name)
		if strings.Contains(lower, "ratelimit") || strings.Contains(lower, "rate-limit") || lower == "retry-after" || strings.Contains(lower, "call-limit") {
			if r.Limits == nil {
				r.Limits = map[string]string{}
			}
			r.Limits[name] = strings.Join(values, ", ")
		}
	}
	l.report.Requests = append(l.report.Requests, r)
}

func (l *looker) warnf(format string, args ...any) { l.note(fmt.Sprintf(format, args...)) }

func (l *looker) note(text string) {
	if text = l.hide.Text(text); !slices.Contains(l.report.Warnings, text) {
		l.report.Warnings = append(l.report.Warnings, text)
	}
}

// page looks at a page.
func (l *looker) page(p *ingest.WalkedPage) error {
	l.report.Slice = p.Slice
	out := Page{
		URL: p.URL, Records: len(p.Records), Bytes: p.Bytes, Shape: p.Shape, Rest: l.hide.Text(short(string(p.Rest), 400)), Since: p.Since, Next: p.Next, Ended: string(p.Ended),
	}
	l.report.Pages = append(l.report.Pages, out)
	l.report.Ended = out.Ended
	for i := range p.Records {
		l.record(&p.Records[i], p.Slice)
	}
	return nil
}

func (l *looker) record(r *ingest.WalkedRecord, slice string) {
	c := &l.report.Counts
	c.Records++
	out := Record{Key: string(r.Key), Value: l.json(r.Value), Steps: []Step{}, Rows: [][]dryrun.Cell{}}
	if len(l.report.sample) < mostSample {
		l.report.sample = append(l.report.sample, r.Value)
	}
	if r.HasSource {
		out.Version = &r.Source
		if l.had && r.Source < l.last {
			l.sorted = -1
		}
		l.last, l.had = r.Source, true
	}
	l.apply(r, slice, &out)
	switch {
	case out.Letter != nil:
		c.Letters++
		out.Letter.Reason = l.hide.Text(out.Letter.Reason)
		l.doubts[out.Letter.Step+": "+short(out.Letter.Reason, 200)]++
	case len(out.Rows) == 0:
		c.Filtered++
	}
	c.Rows += len(out.Rows)
	for _, row := range out.Rows {
		for _, cell := range row {
			if cell.Doubt != "" {
				l.doubts["sink.columns."+cell.Column+": "+short(*cell.Value, 40)+" does not fit: "+cell.Doubt]++
			}
		}
	}
	if len(l.report.Records) < l.options.Records {
		l.report.Records = append(l.report.Records, out)
	}
}

// apply runs the steps over a record.
func (l *looker) apply(r *ingest.WalkedRecord, slice string, out *Record) {
	if r.Reason != "" {
		out.Letter = &dryrun.Letter{Stage: "ingest", Step: r.Step, Reason: r.Reason}
		return
	}
	l.keys[string(r.Key)]++
	of := dryrun.Record{Value: r.Value, Key: r.Key, Slice: slice, Source: r.Source}
	if r.Deleted {
		out.Letter = l.dry.Delete(of).Letter
		out.Steps = append(out.Steps, Step{"ingest.deletes.when", json.RawMessage("null")})
		return
	}
	o := l.dry.Apply(of)
	out.Letter = o.Letter
	for _, t := range o.Trace {
		out.Steps = append(out.Steps, Step{t.Label, l.json(t.Value)})
	}
	out.Rows = append(out.Rows, o.Rows...)
}

// json is a value as JSON, without secrets; as a text, if it is none.
func (l *looker) json(v []byte) json.RawMessage {
	text := l.hide.Text(string(v))
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	quoted, _ := json.Marshal(text)
	return quoted
}

// finish draws conclusions.
func (l *looker) finish() {
	r := l.report
	r.Counts.Keys = len(l.keys)
	if r.Ended == "" && r.Error == "" {
		r.Ended = fmt.Sprintf("after %s, as asked; the pass would continue", plural(len(r.Pages), "page"))
	}
	if r.Counts.Records > 0 {
		for _, text := range l.dry.Unseen() {
			l.note(text)
		}
	}
	var twice []string
	for _, key := range slices.Sorted(maps.Keys(l.keys)) {
		if l.keys[key] > 1 {
			twice = append(twice, key)
		}
	}
	if len(twice) > 0 {
		l.warnf("ingest.key: %s came more than once (%s): the records of a key are taken for revisions of one another, and only the newest has a row",
			plural(len(twice), "key"), strings.Join(twice[:min(len(twice), mostWarning)], ", "))
	}
	if l.sorted < 0 && l.addressed() {
		l.warnf("the order of the records is not that of the versions, and pages are asked for by number: a record that changes while pages are fetched " +
			"may move to a page that was fetched already. Ask for an order that changes do not alter, such as by id or by time of creation")
	}
	for _, text := range slices.Sorted(maps.Keys(l.doubts)) {
		l.warnf("%s (%d of %d records)", text, l.doubts[text], r.Counts.Records)
	}
	if r.Counts.Records > 0 && r.Counts.Rows == 0 && r.Counts.Letters == 0 {
		l.warnf("the filters refuse every record")
	}
}

func (l *looker) addressed() bool {
	p := l.stream.Ingest.Paginate
	return p.Page != nil || p.Offset != nil
}

// Propose adds columns that the sample suggests.
func (r *Report) Propose(s *pipeline.Stream) {
	var key [][]string
	for _, path := range s.Ingest.Key {
		if path != pipeline.SliceField {
			key = append(key, pipeline.PathNames(path))
		}
	}
	for _, c := range infer.Look(r.sample).Columns(key) {
		r.Columns = append(r.Columns, Column{c.Name, c.Expr, c.Type, c.Guess})
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func short(text string, n int) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > n {
		text = strings.ToValidUTF8(text[:n], "") + "…"
	}
	return text
}
