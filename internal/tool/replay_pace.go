package tool

import (
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/millrace-io/millrace/internal/lines"
	"github.com/millrace-io/millrace/topics/control"
)

// writePaces says below a table of lines what it has no columns for.
func writePaces(out io.Writer, all []lines.Status) error {
	for i := range all {
		text := paceOf(&all[i])
		if text == "" {
			continue
		}
		if _, err := fmt.Fprintf(out, "\nline %d: %s\n", all[i].Line, text); err != nil {
			return err
		}
	}
	return nil
}

// paceOf is how fast a line is built beside what arrives, or why it is not known how far it is.
func paceOf(l *lines.Status) string {
	switch {
	case l.Unknown != "":
		return "how far it is, is not known: " + l.Unknown
	case l.State != control.LineBuilding:
		return ""
	case l.DoesNotCatchUp != "":
		return l.DoesNotCatchUp
	}
	var texts []string
	if pace := l.Pace.String(); pace != "" {
		texts = append(texts, pace)
	}
	if l.Rate > 0 {
		texts = append(texts, fmt.Sprintf("--rate %d", l.Rate))
	}
	if l.Arriving != nil {
		texts = append(texts, humanize.Comma(int64(*l.Arriving))+" records/s arrive")
	}
	return strings.Join(texts, "; ")
}
