// Package sse reads Server-Sent Events, as the HTML standard defines them (section 9.2, "Server-sent events").
package sse

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Event is an event. One without data tells of an id alone.
type Event struct {
	ID   string // of the last event that had one, this one included: where a reader goes on
	Type string // empty: message
	Data []byte // nil: none
}

// TooLargeError says that an event has more bytes than a reader holds.
type TooLargeError struct{ Max int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("an event has more than %d bytes", e.Max)
}

// Reader reads the events of one answer. It is for one goroutine.
type Reader struct {
	r     *bufio.Reader
	max   int
	line  []byte
	begun bool
	cr    bool // the line before ended with a carriage return: a line feed behind it is the same end

	id      string
	told    string        // the id that was returned last
	retry   time.Duration // and a nanosecond; 0: not asked for
	kind    string
	data    []byte // with a line feed behind each line
	hasData bool
}

// NewReader returns a reader of events that have at most so many bytes. id is that of the last event known.
func NewReader(r io.Reader, id string, most int) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 32<<10), max: most, id: id, told: id}
}

// Retry is how long the server asks readers to wait before they connect again; negative: it does not.
func (r *Reader) Retry() time.Duration { return r.retry - 1 }

// Next is the next event that is whole. What was begun when the answer ended is none.
func (r *Reader) Next() (Event, error) {
	for {
		line, err := r.readLine()
		if err != nil {
			return Event{}, err
		}
		if len(line) > 0 {
			if err := r.field(line); err != nil {
				return Event{}, err
			}
			continue
		}
		e := Event{ID: r.id, Type: r.kind}
		r.kind = ""
		if r.hasData {
			e.Data = bytes.Clone(r.data[:len(r.data)-1]) // without the last line feed
			if e.Data == nil {
				e.Data = []byte{}
			}
			r.data, r.hasData = r.data[:0], false
		}
		if e.Data != nil || r.id != r.told {
			r.told = r.id
			return e, nil
		}
	}
}

// field takes a line that is not empty.
func (r *Reader) field(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) { // without one, it is a comment
	case "event":
		r.kind = string(value)
	case "data":
		if len(r.data)+len(value) > r.max {
			return &TooLargeError{Max: r.max}
		}
		r.data = append(append(r.data, value...), '\n')
		r.hasData = true
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			r.id = string(value)
		}
	case "retry":
		if n, err := strconv.ParseUint(string(value), 10, 32); err == nil {
			r.retry = time.Duration(n)*time.Millisecond + 1
		}
	}
	return nil
}

// readLine returns a line without its end: a carriage return, a line feed, or both.
func (r *Reader) readLine() ([]byte, error) {
	r.line = r.line[:0]
	for {
		c, err := r.r.ReadByte()
		if err != nil {
			return nil, err
		}
		if r.cr {
			r.cr = false
			if c == '\n' {
				continue
			}
		}
		if c == '\r' || c == '\n' {
			r.cr = c == '\r'
			line := r.line
			if !r.begun {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			r.begun = true
			return line, nil
		}
		if len(r.line) > r.max+16 {
			return nil, &TooLargeError{Max: r.max}
		}
		r.line = append(r.line, c)
	}
}
