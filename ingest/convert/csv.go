package convert

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// CSV says how rows are written (RFC 4180).
type CSV struct {
	Delimiter rune     // 0: a comma
	Names     []string // of the fields; nil: the first row has them
}

// lines reads rows and gives them as NDJSON.
type lines struct {
	rows  *csv.Reader
	names [][]byte // quoted, with a colon
	buf   []byte
	at    int
	err   error
}

// Reader gives the rows of r, which is UTF-8, as NDJSON: an object of texts in each line. A row that has not as many
// fields as there are names is an error: the body may be cut off.
func (c CSV) Reader(r io.Reader) io.Reader {
	l := &lines{rows: csv.NewReader(r)}
	l.rows.FieldsPerRecord, l.rows.ReuseRecord = -1, true
	l.rows.LazyQuotes = false
	if c.Delimiter != 0 {
		l.rows.Comma = c.Delimiter
	}
	if c.Names != nil {
		l.err = l.header(c.Names)
	}
	return l
}

func (l *lines) header(names []string) error {
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("two fields of the CSV have the name %q", name)
		}
		quoted, err := jsontext.AppendQuote(nil, name)
		if err != nil {
			return fmt.Errorf("the name of field %d of the CSV is not valid text", i+1)
		}
		l.names = append(l.names, append(quoted, ':'))
	}
	return nil
}

// Read is that of [io.Reader].
func (l *lines) Read(p []byte) (int, error) {
	for l.at == len(l.buf) && l.err == nil {
		l.buf, l.at = l.buf[:0], 0
		l.err = l.row()
	}
	if l.at == len(l.buf) {
		return 0, l.err
	}
	n := copy(p, l.buf[l.at:])
	l.at += n
	return n, nil
}

// row reads the next row.
func (l *lines) row() error {
	fields, err := l.rows.Read()
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return fmt.Errorf("CSV: %w", err)
	case l.names == nil:
		return l.header(slices.Clone(fields))
	case len(fields) != len(l.names):
		line, _ := l.rows.FieldPos(0)
		return fmt.Errorf("CSV: line %d has %d fields, and there are %d names", line, len(fields), len(l.names))
	}
	l.buf = append(l.buf, '{')
	for i, field := range fields {
		if i > 0 {
			l.buf = append(l.buf, ',')
		}
		l.buf = append(l.buf, l.names[i]...)
		l.buf, _ = jsontext.AppendQuote(l.buf, field) // what is not UTF-8 is replaced
	}
	l.buf = append(l.buf, "}\n"...)
	return nil
}
