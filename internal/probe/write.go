package probe

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/internal/infer"
	"github.com/millrace-io/millrace/pipeline"
)

// Given are what the pipeline file says beside what was found: auth and headers, with references in the place of
// secrets.
type Given struct {
	Auth    string      // as YAML behind "auth: "; empty: none
	Headers [][2]string // name and value
	Schema  string      // URL of the JSON Schema
	Needs   []string    // variables of the environment, for the comment at the top
}

// guessMark begins the comment of a line that is worth a look.
const guessMark = "GUESS: "

// File is the pipeline file. asked is the URL as people may see it, name that of the file.
func (o *Finding) File(asked, name string, c Given) []byte {
	w := &writer{}
	w.linef("# yaml-language-server: $schema=%s", c.Schema)
	w.linef("# %s", asked)
	w.linef("# as `millrace init` found it: %s of %s in %s. A line marked %s is worth a look.", plural(o.Records, "record"), o.Stream,
		plural(o.Requests, "answer"), strings.TrimSuffix(guessMark, ": "))
	w.linef("#")
	for _, need := range c.Needs {
		w.linef("#   export %s=...", need)
	}
	w.linef("#   millrace preview %s %s        # what comes, and what becomes of it", name, o.Stream)
	w.linef("#   millrace run %s --once        # one pass, into the table", name)
	w.linef("")
	w.linef("pipeline: %s", scalar(o.Pipeline))
	w.linef("")
	w.linef("# Without these two keys Kafka and the database run in the process, with their files in .millrace/%s.", o.Pipeline)
	w.linef("# kafka: {brokers: [localhost:9092]}")
	w.linef(`# database: {mysql: "app:${MYSQL_PASSWORD}@tcp(localhost:3306)/%s"}`, strings.ReplaceAll(o.Pipeline, "-", "_"))
	w.linef("")
	o.http(w, c)
	w.linef("")
	w.linef("streams:")
	w.linef("  %s:", scalar(o.Stream))
	o.ingest(w)
	o.process(w)
	o.sink(w)
	return []byte(w.b.String())
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (o *Finding) http(w *writer, c Given) {
	w.linef("http:")
	w.linef("  base_url: %s", scalar(o.BaseURL))
	if c.Auth != "" {
		w.linef("  auth: %s", c.Auth)
	}
	if len(c.Headers) > 0 {
		var pairs []string
		for _, h := range c.Headers {
			pairs = append(pairs, h[0]+": "+scalar(h[1]))
		}
		w.linef("  headers: {%s}", strings.Join(pairs, ", "))
	}
	why := "what the API allows is not known"
	if o.limit.seen != "" {
		why = o.limit.seen
	}
	w.commented("  rate_limit: {requests: 5, per: 1s}", "", why)
}

func (o *Finding) ingest(w *writer) {
	w.linef("    ingest:")
	w.linef("      path: %s", scalar(o.Path))
	if len(o.Query) > 0 {
		var pairs []string
		for _, q := range o.Query {
			pairs = append(pairs, scalar(q[0])+": "+quoted(q[1]))
		}
		w.linef("      query: {%s}", strings.Join(pairs, ", "))
	}
	if o.place.lines {
		w.commented("      format: "+o.format(), o.place.seen, o.place.guess)
	} else if r := o.records(); r != "" {
		w.commented("      records: "+r, o.place.seen, o.place.guess)
	} else {
		w.commented("      # the records:", o.place.seen, o.place.guess)
	}
	var keys []string
	for _, p := range o.key.Paths {
		keys = append(keys, scalar(pathText(p)))
	}
	key := strings.Join(keys, ", ")
	if len(keys) != 1 {
		key = "[" + key + "]"
	}
	w.commented("      key: "+key, fmt.Sprintf("different in each of the %s", plural(o.Records, "record")), o.key.Guess)
	if p := paginateText(o.paging.paginate); p != "" {
		w.commented("      paginate: "+p, o.paging.seen, o.paging.guess)
	} else {
		w.commented("      # no paginate:", o.paging.seen, o.paging.guess)
	}
	o.incremental(w)
	switch {
	case o.paging.feed:
		w.commented("      deletes: {when: deleted == true}", "a change that says so removes the row", "")
	case o.changes.param != "":
		w.commented("      # deletes: {by: complete_read, every: 24h}", "if the API shows no more what is deleted there: these rows go, too", "")
	default:
		w.commented("      # deletes: complete_read", "if the API shows no more what is deleted there: these rows go, too", "")
	}
	w.commented("      every: 5m", "from the start of a pass to the start of the next", "")
}

func (o *Finding) incremental(w *writer) {
	if o.paging.feed {
		version := "seq"
		if o.textSeq {
			version = "{field: seq, as: digits}"
		}
		w.commented("      version: "+version, "a change never takes the place of a newer one", "")
		return
	}
	if o.changes.field == nil {
		return
	}
	field := scalar(pathText(o.changes.field))
	if o.changes.param == "" {
		w.commented("      version: "+field, "a revision never takes the place of a newer one", o.changes.guess)
	} else {
		text := "field: " + field + ", param: " + scalar(o.changes.param)
		if o.changes.start != "" {
			text += ", start: " + quoted(o.changes.start)
		}
		text += ", lookback: 10m"
		if o.changes.format != "" {
			text += ", format: " + o.changes.format
		}
		w.commented("      incremental: {"+text+"}", o.changes.seen, o.changes.guess)
	}
	if o.zoneless {
		w.commented("      time_zone: UTC", "", "the times name no zone")
	}
}

// format is that of lines.
func (o *Finding) format() string {
	if o.place.csv {
		return "csv"
	}
	return "ndjson"
}

// records is the value of the key records; empty: the body itself, an array.
func (o *Finding) records() string {
	path := "$"
	if len(o.place.path) > 0 {
		path = pathText(o.place.path)
	}
	s := o.place.shape
	switch s.Kind {
	case "":
		if path == "$" {
			return ""
		}
		return scalar(path)
	case pipeline.ShapeMap:
		as := ""
		if slices.ContainsFunc(o.columns, func(c infer.Column) bool { return len(c.Path) == 1 && c.Path[0] == s.As }) {
			as = ", as: " + scalar(s.As)
		}
		return fmt.Sprintf("{map: %s, key_as: %s%s}", scalar(path), scalar(s.KeyAs), as)
	case pipeline.ShapeRows:
		return fmt.Sprintf("{rows: %s, columns: %s}", scalar(path), scalar(pathText(s.Columns)))
	case pipeline.ShapeValues:
		return fmt.Sprintf("{values: %s, as: %s}", scalar(path), scalar(s.As))
	}
	return fmt.Sprintf("{%s: %s}", s.Kind, scalar(path))
}

// pathText is a path as people write it: names with dots in them need no quotes where nothing else can be meant.
func pathText(names []string) string {
	plain := strings.Join(names, ".")
	if _, err := pipeline.ParsePath(plain); err == nil {
		return plain
	}
	return pipeline.FormatPath(names)
}

// mapped reports whether a map is needed: a column is not the record's field of its name.
func (o *Finding) mapped() bool {
	return slices.ContainsFunc(o.columns, func(c infer.Column) bool {
		return len(c.Path) != 1 || c.Path[0] != c.Name || c.Expr != infer.Expr(c.Path)
	})
}

func (o *Finding) process(w *writer) {
	if !o.mapped() {
		return
	}
	w.linef("    process:")
	w.linef("      - map:")
	for _, c := range o.columns {
		w.linef("          %s: %s", scalar(c.Name), scalar(c.Expr))
	}
}

func (o *Finding) sink(w *writer) {
	w.linef("    sink:")
	w.linef("      table: %s", scalar(strings.ReplaceAll(o.Stream, "-", "_")))
	w.linef("      columns:")
	for _, c := range o.columns {
		w.commented("        "+scalar(c.Name)+": "+scalar(c.Type), "", c.Guess)
	}
}

type writer struct{ b strings.Builder }

func (w *writer) linef(format string, args ...any) {
	fmt.Fprintf(&w.b, format+"\n", args...)
}

// commented is a line with what was seen, or why it is a guess, behind it.
func (w *writer) commented(text, seen, guess string) {
	comment := seen
	if guess != "" {
		comment = guessMark + guess
	}
	comment = strings.Join(strings.Fields(comment), " ")
	if comment == "" {
		w.linef("%s", text)
		return
	}
	indent := text[:len(text)-len(strings.TrimLeft(text, " "))]
	if len(text)+len(comment)+4 > 118 {
		w.linef("%s# %s", indent, comment)
		w.linef("%s", text)
		return
	}
	w.linef("%-26s # %s", text, comment)
}

var plainScalar = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./() -]*$`)

// scalar is a text as YAML takes it as a text, also between braces.
func scalar(text string) string {
	lower := strings.ToLower(text)
	odd := strings.HasSuffix(text, " ") || slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"}, lower)
	if !odd && plainScalar.MatchString(text) {
		return text
	}
	if strings.HasPrefix(text, "https://") && !strings.ContainsAny(text, " #{}[],\"'") {
		return text
	}
	return quoted(text)
}

// quoted is a text in double quotes, or single ones where that spares escapes.
func quoted(text string) string {
	if strings.Contains(text, `"`) && !strings.ContainsAny(text, "'\n\t\\") {
		return "'" + text + "'"
	}
	out, _ := json.Marshal(text)
	return strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(string(out))
}

// Fact is one thing that the file says.
type Fact struct {
	Name  string // records, key, paginate, incremental, column orders.total
	Value string
	Guess string // why it is only a guess; empty: it is not
}

// Facts list what the file says of the API, for a report.
func (o *Finding) Facts() []Fact {
	records := o.records()
	if o.place.lines {
		records = o.format()
	}
	var keys []string
	for _, p := range o.key.Paths {
		keys = append(keys, pathText(p))
	}
	facts := []Fact{
		{"records", records, o.place.guess},
		{"key", strings.Join(keys, ", "), o.key.Guess},
		{"paginate", paginateText(o.paging.paginate), o.paging.guess},
	}
	changed := pathText(o.changes.field)
	if o.changes.param != "" {
		changed += " by " + o.changes.param
	}
	facts = append(facts, Fact{"changed", changed, o.changes.guess})
	for _, c := range o.columns {
		facts = append(facts, Fact{"column " + c.Name, c.Type, c.Guess})
	}
	return facts
}
