package casebook

import (
	"encoding/xml"
	"io"
	"strings"
)

type suite struct {
	XMLName  xml.Name `xml:"testsuite"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Cases    []junit  `xml:"testcase"`
}

type junit struct {
	Name    string   `xml:"name,attr"`
	Class   string   `xml:"classname,attr"`
	File    string   `xml:"file,attr"`
	Line    int      `xml:"line,attr"`
	Failure *failure `xml:"failure"`
}

type failure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes results as JUnit does, for CI.
func WriteJUnit(out io.Writer, pipelineFile string, b *Book, results []*Result) error {
	s := suite{Name: pipelineFile, Tests: len(results)}
	for _, r := range results {
		c := junit{Name: r.Case.Name, Class: pipelineFile, File: b.Path, Line: r.Case.Line}
		if len(r.Failures) > 0 {
			s.Failures++
			var what, text []string
			for _, f := range r.Failures {
				what, text = append(what, f.What), append(text, f.What+"\n"+f.Diff)
			}
			c.Failure = &failure{strings.Join(what, ", "), strings.Join(text, "\n")}
		}
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(out)
	enc.Indent("", "  ")
	if err := enc.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(out, "\n")
	return err
}
