package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/millrace-io/millrace/internal/demo/quakeapi"
)

// Report is what there is to say at the end.
type Report struct {
	At        time.Duration // since the process started
	Counts    Counts        // its At and lags are not used
	FirstRow  time.Duration // 0: there was none
	Database  string        // "SQLite" or "MySQL"
	TableName string
	Rows      int            // in the table
	Strongest []quakeapi.Row // some of them
	Compared  *Difference    // with the API's truth; nil: not compared, as more was to come
	Letters   []Letter
	LetterLog string   // topic
	LookTable string   // command; empty: none
	LookTopic string   // command; empty: the topics are gone
	Next      []string // commands to try
	Kept      string   // what is left on the disk, and how to get rid of it
}

const lettersShown = 8

// Write writes the report, at most width columns wide where it can choose.
func (r Report) Write(w io.Writer, width int) error {
	p := &printer{w: w}
	r.stages(p)
	r.table(p, width)
	r.letters(p, width)
	if r.LookTable != "" {
		p.linef("Look at the table:")
		p.linef("  %s", r.LookTable)
	}
	if r.LookTopic != "" {
		p.linef("Look at the topics:")
		p.linef("  %s", r.LookTopic)
	}
	if r.Kept != "" {
		p.linef("%s", r.Kept)
	}
	p.linef("Try next:")
	for _, n := range r.Next {
		p.linef("  %s", n)
	}
	return p.err
}

// stages is what became of the records, stage by stage.
func (r Report) stages(p *printer) {
	c := r.Counts
	took := ""
	if r.FirstRow > 0 {
		took = fmt.Sprintf("; the first row was in %s after %.1f s", r.Database, r.FirstRow.Seconds())
	}
	p.linef("After %.1f s%s:", r.At.Seconds(), took)
	p.linef("  ingest     %s, %s of them again after 429, 500 or a cut connection",
		count(c.Requests, "request", "requests"), humanize.Comma(c.Retries))
	p.linef("             %s → %s%s", count(c.Pages, "page", "pages"), count(c.Fetched, "record", "records"),
		andIf(c.Unchanged, "fetched again, unchanged, and left out"))
	p.linef("  processor  %s → %s%s%s", count(c.Processed, "record", "records"), count(c.Rows, "row", "rows"),
		andIf(c.Filtered, "filtered"), andIf(c.ProcessorLetters, "refused"))
	p.linef("  sink       %s → %s written%s%s", count(c.Sunk, "record", "records"), count(c.Upserts, "row", "rows"),
		andIf(c.Deletes, "deleted"), andIf(c.SinkLetters, "refused"))
	p.linef("")
}

func andIf(n int64, what string) string {
	if n == 0 {
		return ""
	}
	return ", " + humanize.Comma(n) + " " + what
}

// table is the first rows, and whether the table is what it should be.
func (r Report) table(p *printer, width int) {
	p.linef("Table %s, %s; the strongest:", r.TableName, count(int64(r.Rows), "row", "rows"))
	p.linef("")
	t := tabwriter.NewWriter(p, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "  id\ttime\tmagnitude\tstatus\tplace")
	for _, q := range r.Strongest {
		// What is before the place takes 62 columns.
		_, _ = fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", q.ID, q.Time, q.Magnitude, q.Status, cutTo(q.Place, max(width-62, 12)))
	}
	_ = t.Flush() // its error is the printer's
	p.linef("")
	switch {
	case r.Compared == nil:
		return
	case r.Compared.Equal():
		p.linef("Compared with what the API says, every row and every value: equal.")
	default:
		p.linef("Compared with what the API says: %s.", r.Compared)
	}
	p.linef("")
}

// letters is what the dead letters say.
func (r Report) letters(p *printer, width int) {
	if len(r.Letters) == 0 {
		return
	}
	p.linef("%s in %s (an older revision's row stays):",
		count(int64(len(r.Letters)), "dead letter", "dead letters"), r.LetterLog)
	for _, l := range r.Letters[:min(len(r.Letters), lettersShown)] {
		p.linef("  %s refused by the %s at %s:", l.Key, l.Stage, l.Step)
		p.linef("      %s", cutTo(oneLine(l.Reason), max(width-6, 120)))
	}
	if more := len(r.Letters) - lettersShown; more > 0 {
		p.linef("  … and %d more", more)
	}
	p.linef("")
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// printer writes until an error, and keeps it.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) linef(format string, args ...any) { _, _ = fmt.Fprintf(p, format+"\n", args...) }

// Write implements io.Writer.
func (p *printer) Write(b []byte) (int, error) {
	if p.err == nil {
		_, p.err = p.w.Write(b)
	}
	return len(b), p.err
}
