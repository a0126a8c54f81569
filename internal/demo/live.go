package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// State is one moment of the demonstration, as it is shown.
type State struct {
	Counts
	Rates    Rates
	FirstRow time.Duration // from the start of the process until the first row was in the table; 0: none yet
	Database string        // "SQLite" or "MySQL"
	Phase    string        // what is going on: "first pass", "API rests", "following; Ctrl-C ends" ...
	Notice   string        // the last warning of a stage; empty: none
}

// Header is shown once, before anything runs.
type Header struct {
	API     string   // URL
	Brokers []string // host:port
	Kafka   string   // "embedded" or "Apache Kafka"
	Look    string   // command that shows a topic
	Table   string   // where the rows go, without secrets
	Stop    string   // how it ends
}

// Lines is the header's text.
func (h Header) Lines() []string {
	return []string{
		"millrace demo: earthquakes from an HTTP API, through Kafka, into a table",
		"",
		"  API    " + h.API,
		"  Kafka  " + strings.Join(h.Brokers, ",") + " (" + h.Kafka + "), for any Kafka client:",
		"           " + h.Look,
		"  table  " + h.Table,
		"  " + h.Stop,
		"",
	}
}

// Block is s as the lines that a terminal shows, each at most width columns wide. What does not fit is left out.
func (s State) Block(width int, style Style) []string {
	lines := []line{
		{{text: fmt.Sprintf("  %-10s%9s%7s%6s  ", "stage", "records", "/s", "lag"), dim: true}},
		s.stage("ingest", s.Fetched, s.Rates.Ingest, "", s.ingestDetails()),
		s.stage("processor", s.Processed, s.Rates.Processor, lag(s.RawLag), s.processorDetails()),
		s.stage("sink", s.Sunk, s.Rates.Sink, lag(s.ProcessedLag), s.sinkDetails()),
		{},
		{{text: fmt.Sprintf("  %5.1f s  ", s.At.Seconds())}, {text: s.Phase}, {text: s.firstRow(), good: true, whole: true}},
	}
	if s.Notice != "" {
		lines = append(lines, line{{text: "  ! " + s.Notice, warn: true}})
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l.render(width, style)
	}
	return out
}

// stage is a stage's line.
func (s State) stage(name string, records int64, rate float64, lag string, details line) line {
	l := line{
		{text: fmt.Sprintf("  %-10s", name), bold: true},
		{text: fmt.Sprintf("%9s%7s%6s  ", humanize.Comma(records), humanize.Comma(int64(rate+0.5)), lag)},
	}
	return append(l, details...)
}

func (s State) ingestDetails() line {
	l := line{{text: count(s.Pages, "page", "pages")}}
	l = l.note(s.Retries, "retry", "retries", true)
	l = l.note(s.IngestLetters, "dead letter", "dead letters", true)
	if s.LimitWait >= 100*time.Millisecond {
		l = append(l, segment{text: fmt.Sprintf(", %.1f s rate limit", s.LimitWait.Seconds()), whole: true})
	}
	return l.note(s.Unchanged, "unchanged", "unchanged", false)
}

func (s State) processorDetails() line {
	l := line{{text: count(s.Rows, "row", "rows")}}
	l = l.note(s.Filtered, "filtered", "filtered", false)
	return l.note(s.ProcessorLetters, "dead letter", "dead letters", true)
}

func (s State) sinkDetails() line {
	l := line{{text: humanize.Comma(s.Upserts) + " written"}}
	l = l.note(s.Deletes, "deleted", "deleted", false)
	return l.note(s.SinkLetters, "dead letter", "dead letters", true)
}

func (s State) firstRow() string {
	if s.FirstRow == 0 {
		return ""
	}
	return fmt.Sprintf(" · first row in %s after %.1f s", s.Database, s.FirstRow.Seconds())
}

// Plain is s as one line without control codes, for pipes and logs.
func (s State) Plain() string {
	l := line{{text: fmt.Sprintf("%6.1f s  ingest %s (%.0f/s) · processor %s, lag %s · sink %s, lag %s · %s",
		s.At.Seconds(), humanize.Comma(s.Fetched), s.Rates.Ingest, humanize.Comma(s.Processed), orNone(lag(s.RawLag)),
		humanize.Comma(s.Sunk), orNone(lag(s.ProcessedLag)), count(s.Upserts, "row written", "rows written"))}}
	return l.note(s.Deletes, "deleted", "deleted", false).note(s.Filtered, "filtered", "filtered", false).
		note(s.Retries, "retry", "retries", true).note(s.Letters(), "dead letter", "dead letters", true).plain()
}

// lag is a lag's text: empty while it is not known.
func lag(n int64) string {
	if n < 0 {
		return ""
	}
	return humanize.Comma(n)
}

func orNone(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(n) + " " + many
}

// note adds what there is any of.
func (l line) note(n int64, one, many string, warn bool) line {
	if n == 0 {
		return l
	}
	return append(l, segment{text: ", " + count(n, one, many), warn: warn, whole: true})
}
