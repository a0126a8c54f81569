package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/internal/infer"
	"github.com/millrace-io/millrace/pipeline"
)

// Options say what to ask.
type Options struct {
	URL       *url.URL      // of the first page, without credentials
	HTTP      pipeline.HTTP // credentials and headers; BaseURL is filled in
	Name      string        // of the stream; empty: from the URL
	Pipeline  string        // its name; empty: from the URL
	Transport http.RoundTripper
	Whole     bool        // the base URL is the host alone, since credentials come from a path of their own
	Tell      func(Asked) // of each request; nil: nobody
}

// Finding is what was found out about an API.
type Finding struct {
	Pipeline string // name
	Stream   string // name
	BaseURL  string
	Path     string
	Query    [][2]string // constant parameters, in order
	Records  int         // that were looked at
	Requests int         // that were made

	place    place
	key      infer.Key
	paging   *paging
	changes  changes
	columns  []infer.Column
	sample   *infer.Sample
	limit    rateLimit
	zoneless bool
	whole    bool // as in Options
	textSeq  bool // of a feed of changes: seq is a text
}

// finder is at work.
type finder struct {
	ask      *asker
	first    *answer
	place    place
	records  []jsontext.Value // of the first page
	all      []jsontext.Value // of all pages that were seen
	ids      map[string]bool  // of the first page
	key      infer.Key
	sample   *infer.Sample
	resource string
}

// Run asks the API.
func Run(ctx context.Context, o Options) (*Finding, error) {
	out := &Finding{whole: o.Whole}
	out.names(o)
	ask, err := out.asker(o)
	if err != nil {
		return nil, err
	}
	defer ask.close()
	f := &finder{ask: ask, resource: out.Stream}
	if err := f.begin(ctx, o.URL); err != nil {
		return nil, err
	}
	f.look()
	out.paging = f.pages(ctx)
	f.more(out.paging.second)
	if out.paging.feed {
		out.textSeq = infer.Value(f.records[0], []string{"seq"}).Kind() == '"'
	} else {
		out.changes = f.since(ctx)
	}
	out.learn(f)
	out.split(o.URL)
	if len(f.key.Paths) == 0 {
		return nil, errors.New("the records have no field with a single value that could be their key: is this the resource's URL? " +
			"Else write ingest.records and ingest.key by hand (docs/reference/records.md has the shapes), and look with millrace preview")
	}
	if len(out.columns) == 0 {
		return nil, errors.New("no record was found, so the columns are not known: ask for a page that has some")
	}
	return out, ctx.Err()
}

// asker makes the requests, which it counts.
func (o *Finding) asker(opts Options) (*asker, error) {
	h := opts.HTTP
	h.BaseURL = opts.URL.Scheme + "://" + opts.URL.Host
	h.Retry = pipeline.Retry{Initial: 300 * time.Millisecond, Max: 5 * time.Second, Attempts: attemptsFor}
	if h.Timeout == 0 {
		h.Timeout = 30 * time.Second
	}
	return newAsker(h, opts.Transport, func(a Asked) {
		o.Requests++
		if opts.Tell != nil {
			opts.Tell(a)
		}
	})
}

// begin asks for the first page, and finds the records in it.
func (f *finder) begin(ctx context.Context, u *url.URL) error {
	var err error
	if f.first, err = f.ask.get(ctx, u, "what the API answers"); err != nil {
		return err
	}
	if err := document(f.first.body, u); err != nil {
		return err
	}
	f.place = findRecords(f.first, f.resource)
	f.records = f.place.cut(f.first)
	if f.place.guess == "no array of records was found" && len(f.records) == 0 {
		return errors.New("no records were found in the answer")
	}
	f.all = f.records
	return nil
}

// learn notes what the sample tells: key, columns, and what the records are.
func (o *Finding) learn(f *finder) {
	o.place, o.key, o.sample = f.place, f.key, f.sample
	o.limit = limits(f.first.header)
	o.Records = len(f.sample.Records)
	if field := f.sample.Changed(); field != nil {
		o.zoneless = field.Zoneless()
	}
	o.columns = f.sample.Columns(f.key.Paths)
	for i := range o.columns {
		if c := &o.columns[i]; c.Key && f.key.Guess != "" {
			c.Guess = "as ingest.key"
		}
	}
	shape := f.place.shape
	oneName := len(f.key.Paths) == 1 && len(f.key.Paths[0]) == 1
	if shape.Kind == pipeline.ShapeValues || oneName && shape.As != "" && shape.Kind != pipeline.ShapeMap {
		o.place.shape.As = f.key.Paths[0][0]
	}
}

// look takes the sample apart, and finds the key.
func (f *finder) look() {
	f.sample = infer.Look(f.all)
	if f.place.shape.Kind == pipeline.ShapeMap {
		f.key = infer.Key{Paths: [][]string{{f.place.shape.KeyAs}}}
	} else {
		f.key = f.sample.Key(f.resource)
	}
	f.ids = map[string]bool{}
	for _, r := range f.records {
		f.ids[f.id(r)] = true
	}
}

// more adds records of another page to the sample, each once: they may show that a key is none.
func (f *finder) more(records []jsontext.Value) {
	known := map[string]bool{}
	for _, r := range f.all {
		known[string(r)] = true
	}
	for _, r := range records {
		if !known[string(r)] {
			f.all = append(slices.Clip(f.all), r)
			known[string(r)] = true
		}
	}
	f.look()
}

var (
	badName  = regexp.MustCompile(`[^a-z0-9_-]+`)
	numberly = regexp.MustCompile(`^[0-9a-f-]{8,}$|^\d+$|^v\d+(\.\d+)?$`)
)

func cleanName(text, otherwise string) string {
	text = strings.Trim(badName.ReplaceAllString(strings.ToLower(text), "-"), "-_")
	if len(text) > 40 {
		text = strings.Trim(text[:40], "-_")
	}
	if text == "" {
		return otherwise
	}
	return text
}

// names finds names for the pipeline and the stream in the URL.
func (o *Finding) names(opts Options) {
	o.Pipeline, o.Stream = opts.Pipeline, opts.Name
	if o.Pipeline == "" {
		labels := strings.Split(opts.URL.Hostname(), ".")
		labels = slices.DeleteFunc(labels, func(l string) bool {
			return slices.Contains([]string{"api", "www", "rest", "data", "com", "org", "net", "io", "gov", "dev", "co", "test"}, l)
		})
		name := ""
		if len(labels) > 0 && !numberly.MatchString(labels[0]) && labels[0] != "localhost" {
			name = labels[0]
		}
		o.Pipeline = cleanName(name, "api")
	}
	if o.Stream == "" {
		segments := strings.Split(strings.Trim(opts.URL.Path, "/"), "/")
		for i := len(segments) - 1; i >= 0 && o.Stream == ""; i-- {
			name := strings.TrimSuffix(segments[i], path.Ext(segments[i]))
			if !numberly.MatchString(strings.ToLower(name)) && !slices.Contains([]string{"search", "query", "list", "_search", "_changes", "records"}, name) {
				o.Stream = cleanName(name, "")
			}
		}
		if o.Stream == "" {
			o.Stream = "records"
		}
	}
}

// split makes base URL, path and constant parameters of the URL.
func (o *Finding) split(u *url.URL) {
	escaped := strings.TrimSuffix(u.EscapedPath(), "/")
	at := strings.LastIndexByte(escaped, '/')
	o.BaseURL = u.Scheme + "://" + u.Host
	o.Path = u.EscapedPath()
	if at > 0 && !o.whole {
		o.BaseURL, o.Path = o.BaseURL+escaped[:at], u.EscapedPath()[at:]
	}
	if o.Path == "" {
		o.Path = "/"
	}
	drop := append(slices.Clone(o.paging.drop), o.changes.param)
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, errName := url.QueryUnescape(name)
		value, errValue := url.QueryUnescape(value)
		if name != "" && errName == nil && errValue == nil && !slices.Contains(drop, name) {
			o.Query = append(o.Query, [2]string{name, value})
		}
	}
}

// rateLimit is what headers tell of the API's limit.
type rateLimit struct {
	requests int
	seen     string
}

// limits reads the headers of a limit, as far as they say how long it is for.
func limits(h http.Header) rateLimit {
	for _, name := range []string{"X-Ratelimit-Limit", "Ratelimit-Limit", "X-Rate-Limit-Limit"} {
		text, _, _ := strings.Cut(h.Get(name), ",")
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n <= 0 {
			continue
		}
		return rateLimit{seen: fmt.Sprintf("the API sent %s: %d, but not for how long", name, n), requests: n}
	}
	return rateLimit{}
}
