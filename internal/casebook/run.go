package casebook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/ingest"
	"github.com/millrace-io/millrace/internal/cassette"
	"github.com/millrace-io/millrace/internal/columntype"
	"github.com/millrace-io/millrace/internal/dryrun"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/rows"
)

// Result is what came of a test.
type Result struct {
	Case     *Case
	Failures []Failure

	decimals map[string]bool // columns whose values compare as numbers
	requests []string
	rows     [][]dryrun.Cell
	letters  []Letter
}

// Failure is one thing that is not as expected.
type Failure struct {
	What string // requests, rows, letters, or what went wrong
	Diff string // lines with - for what was expected, + for what came
	Step string // the path of a step in the pipeline file that is to blame; empty: none
}

// Run runs a test over p.
func (b *Book) Run(ctx context.Context, p *pipeline.Pipeline, c *Case) *Result {
	r := &Result{Case: c}
	fail := func(err error) *Result {
		r.Failures = append(r.Failures, Failure{What: err.Error()})
		return r
	}
	s, err := streamOf(p, c.Stream)
	if err != nil {
		return fail(err)
	}
	d, err := dryrun.New(s)
	if err != nil {
		return fail(err)
	}
	r.decimals = map[string]bool{}
	for i := range d.Table.Columns {
		column := &d.Table.Columns[i]
		r.decimals[column.Name] = column.Kind == columntype.Decimal || column.Kind == columntype.Float
	}
	t := &table{result: r, dry: d}
	if c.Cassette == "" {
		t.inline(c)
	} else if err := t.play(ctx, p, s, c, filepath.Join(filepath.Dir(b.Path), c.Cassette)); err != nil {
		r.Failures = append(r.Failures, Failure{What: err.Error()})
	}
	t.finish()
	r.compare(s.Name)
	return r
}

var errNotRecorded = errors.New("record it again, or write its file")

func streamOf(p *pipeline.Pipeline, name string) (*pipeline.Stream, error) {
	if name == "" && len(p.Streams) == 1 {
		return &p.Streams[0], nil
	}
	if name == "" {
		return nil, fmt.Errorf("stream: the pipeline has %d streams: name one", len(p.Streams))
	}
	if _, err := p.Choose([]string{name}); err != nil {
		return nil, err
	}
	return p.Stream(name), nil
}

// table collects what the records do to the table.
type table struct {
	result  *Result
	dry     *dryrun.Stream
	changes []rows.Change
}

func (t *table) inline(c *Case) {
	for _, r := range c.Records {
		key, reason := t.dry.Key(r.value, c.Slice)
		if reason != "" {
			t.letter("", "ingest.key", reason)
			continue
		}
		t.apply(dryrun.Record{Value: r.value, Key: key, Slice: c.Slice})
	}
}

// play gives the answers of a cassette to ingest.
func (t *table) play(ctx context.Context, p *pipeline.Pipeline, s *pipeline.Stream, c *Case, dir string) error {
	exchanges, err := cassette.Read(dir)
	if err != nil {
		return err
	}
	player := cassette.NewPlayer(exchanges)
	for _, s := range append(p.Ancestors(s), s) {
		settings := &s.Ingest.HTTP
		if settings.BaseURL == "" { // a reference that does not resolve here
			settings.BaseURL = player.BaseURL(s.Ingest.Path)
		}
		settings.BaseURL = player.At(settings.BaseURL) // a part of the host may be such a reference
		settings.RateLimit, settings.Retry = nil, pipeline.Retry{Attempts: 2}
	}
	walk := ingest.Walk{
		Stream: s.Name, Slice: c.Slice, Pages: c.Pages, Passes: c.Passes, Recorded: true,
		Transport: func(http.RoundTripper) http.RoundTripper { return player },
	}
	err = walk.Run(ctx, p, func(page *ingest.WalkedPage) error {
		for i := range page.Records {
			r := &page.Records[i]
			if r.Reason != "" {
				t.letter(string(r.Key), r.Step, r.Reason)
				continue
			}
			of := dryrun.Record{Value: r.Value, Key: r.Key, Slice: page.Slice, Source: r.Source}
			if r.Deleted {
				t.took(of, t.dry.Delete(of))
				continue
			}
			t.apply(of)
		}
		return nil
	}, nil)
	t.result.requests = player.Asked()
	if misses := player.Misses(); len(misses) > 0 {
		return fmt.Errorf("%s was asked for, and is not in the cassette %s: %w", misses[0], c.Cassette, cmp.Or(err, errNotRecorded))
	}
	return err
}

func (t *table) apply(r dryrun.Record) { t.took(r, t.dry.Apply(r)) }

// took notes what has become of a record.
func (t *table) took(r dryrun.Record, o dryrun.Outcome) {
	if o.Letter != nil {
		t.letter(string(r.Key), o.Letter.Step, o.Letter.Reason)
		return
	}
	t.changes = append(t.changes, o.Changes...)
}

func (t *table) letter(key, step, reason string) {
	t.result.letters = append(t.result.letters, Letter{key, step, reason})
}

// finish leaves the newest of each key, as the sink does.
func (t *table) finish() {
	for _, share := range rows.Newest(t.changes) {
		for _, x := range share.Upserts {
			t.result.rows = append(t.result.rows, t.dry.Cells(x))
		}
	}
}

// compare notes what is not as expected.
func (r *Result) compare(stream string) {
	if r.Case.Requests != nil && !slices.Equal(r.Case.Requests, r.requests) {
		r.Failures = append(r.Failures, Failure{What: "requests", Diff: diff(r.Case.Requests, r.requests)})
	}
	if r.Case.Rows != nil {
		var want, got []string
		for _, row := range r.Case.Rows {
			want = append(want, row.text(r.decimals))
		}
		for i, row := range r.rows {
			columns := []string(nil)
			if i < len(r.Case.Rows) {
				columns = r.Case.Rows[i].columns
			} else if len(r.Case.Rows) > 0 {
				columns = r.Case.Rows[0].columns
			}
			got = append(got, rowText(row, columns, r.decimals))
		}
		if !slices.Equal(want, got) {
			r.Failures = append(r.Failures, Failure{What: "rows", Diff: diff(want, got)})
		}
	}
	var want, got []string
	for i, l := range r.letters {
		if i < len(r.Case.Letters) && r.Case.Letters[i].Reason == "" {
			l.Reason = ""
		}
		got = append(got, l.text())
	}
	for _, l := range r.Case.Letters {
		want = append(want, l.text())
	}
	if !slices.Equal(want, got) {
		f := Failure{What: "letters", Diff: diff(want, got)}
		for _, l := range r.letters {
			if !slices.Contains(want, l.text()) {
				f.Step = "streams." + stream + "." + l.Step
				break
			}
		}
		r.Failures = append(r.Failures, f)
	}
}

func (l Letter) text() string {
	pairs := []string{"key: " + scalar(l.Key), "step: " + scalar(l.Step)}
	if l.Reason != "" {
		pairs = append(pairs, "reason: "+scalar(l.Reason))
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

func (r *row) text(decimals map[string]bool) string {
	pairs := make([]string, len(r.columns))
	for i, name := range r.columns {
		pairs[i] = name + ": " + valueText(r.values[name], decimals[name])
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

// rowText is a row as the file has it: of these columns, or of all.
func rowText(cells []dryrun.Cell, columns []string, decimals map[string]bool) string {
	var pairs []string
	if columns == nil {
		for _, c := range cells {
			columns = append(columns, c.Column)
		}
	}
	for _, name := range columns {
		i := slices.IndexFunc(cells, func(c dryrun.Cell) bool { return c.Column == name })
		if i < 0 {
			pairs = append(pairs, name+": there is no such column")
			continue
		}
		pairs = append(pairs, name+": "+valueText(cells[i].Value, decimals[name]))
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}
